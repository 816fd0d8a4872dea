/** What every Twinkle Server has, also where its file does not say so. Pure. */
import { inside, isItems, isMap, type Located } from '../yaml-tree.js';

/** The tree with a server among its applications: documents show files without one. */
export function withServer(root: Located): Located {
  const applications = isMap(root.value) ? root.value.get('applications') : undefined;
  if (!isMap(root.value) || !isItems(applications?.value) || applications.value.length === 0) return root;
  const apps = applications.value;
  const says = (key: string, value: string): boolean => apps.some((app) => inside(app, [key])?.value === value);
  if (says('import_path', 'server')) return root;
  const index = apps.length;
  const field = (key: string, value: string): [string, Located] => [
    key,
    { origin: { source: 'default', name: `applications[${index}].${key}`, at: null }, value },
  ];
  const server: Located = {
    origin: { source: 'default', name: `applications[${index}]`, at: applications.origin.at },
    value: new Map([
      field('name', says('name', 'server') ? 'gateway' : 'server'),
      field('route_prefix', '/api/v1'),
      field('import_path', 'server'),
    ]),
  };
  const items = { ...applications, value: [...apps, server] };
  return { ...root, value: new Map(root.value).set('applications', items) };
}
