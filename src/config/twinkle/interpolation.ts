/**
 * `${…}` in the values of a file, as OmegaConf reads it: other values of the file by their path (`${http_options.port}`, `${.host}` beside
 * it, `${..name}` one level up), and variables of the environment (`${oc.env:PORT}`, `${oc.env:PORT,8000}`). Pure.
 */
import { TwinkleError } from '../../errors.js';
import { didYouMean } from '../../util/did-you-mean.js';
import { located } from '../settings.js';
import { inside, isItems, isMap, type Located, MOST_VALUES, type Scalar } from '../yaml-tree.js';

type Env = Readonly<Record<string, string | undefined>>;
type Path = readonly (string | number)[];

const REFERENCE = /\\?\$\{([^{}]*)\}/g;

/**
 * The tree with every reference replaced. A value that is one reference and nothing else becomes what it refers to, of whatever kind, with the
 * origin of that; within text, scalars are written out. `\${` is `${`.
 * @throws `CONFIG_INVALID` for what is not there, goes in circles, or is another resolver of OmegaConf
 */
export function interpolate(root: Located, env: Env): Located {
  return new Interpolation(root, env).resolve(root, []);
}

class Interpolation {
  /** Values that are being resolved: a reference to one of them goes in circles. */
  readonly #under = new Set<Located>();
  #count = 0;

  constructor(
    private readonly root: Located,
    private readonly env: Env,
  ) {}

  resolve(node: Located, path: Path): Located {
    const { value, origin } = node;
    this.#count += 1;
    if (this.#count > MOST_VALUES) throw wrong(node, `references make more than ${MOST_VALUES} values of the file`);
    if (isItems(value)) return { origin, value: value.map((item, index) => this.resolve(item, [...path, index])) };
    if (isMap(value)) {
      const entries = [...value].map(([key, item]) => [key, this.resolve(item, [...path, key])] as const);
      return { origin, value: new Map(entries) };
    }
    if (typeof value !== 'string' || !value.includes('${')) return node;
    if (this.#under.has(node)) throw wrong(node, 'it refers to itself');
    this.#under.add(node);
    try {
      return this.#text(node, value, path);
    } finally {
      this.#under.delete(node);
    }
  }

  #text(node: Located, text: string, path: Path): Located {
    const whole = /^\$\{([^{}]*)\}$/.exec(text);
    if (whole !== null) return this.#refer(node, whole[1] as string, path);
    const found: Located[] = [];
    const value = text.replace(REFERENCE, (reference: string, said: string) => {
      if (reference.startsWith('\\')) return reference.slice(1);
      const meant = this.#refer(node, said, path);
      found.push(meant);
      if (isItems(meant.value) || isMap(meant.value)) throw wrong(node, `\`${reference}\` is no single value`);
      return String(meant.value);
    });
    if (/(^|[^\\])\$\{/.test(text.replace(REFERENCE, ''))) {
      throw wrong(node, 'references within references, and those without an end, are not read');
    }
    return { origin: found.find(({ origin }) => origin.source === 'env')?.origin ?? node.origin, value };
  }

  #refer(node: Located, said: string, path: Path): Located {
    const resolver = /^\s*([\w.]+)\s*:(.*)$/s.exec(said);
    if (resolver === null) return this.#valueOf(node, said.trim(), path);
    const [, name = '', rest = ''] = resolver;
    if (name !== 'oc.env') throw wrong(node, `\`\${${said}}\`: of resolvers there is oc.env`);
    const [, variable = '', standard = null] = /^\s*([^,]*?)\s*(?:,(.*))?$/s.exec(rest) ?? [];
    const set = Object.hasOwn(this.env, variable) ? this.env[variable] : undefined;
    if (set !== undefined) return { origin: { source: 'env', name: variable, at: node.origin.at }, value: set };
    if (standard !== null) return { origin: node.origin, value: unquoted(standard.trim()) };
    throw wrong(node, `\`\${${said}}\`: ${variable} is not set; set it, or write \${oc.env:${variable},default}`);
  }

  #valueOf(node: Located, said: string, path: Path): Located {
    const [, dots = '', rest = ''] = /^(\.*)(.*)$/.exec(said) ?? [];
    const base = dots === '' ? [] : path.slice(0, Math.max(0, path.length - dots.length));
    const steps = rest
      .replaceAll(/\[(\d+)\]/g, '.$1')
      .split('.')
      .filter((step) => step !== '');
    const target: (string | number)[] = [...base];
    for (const step of steps) {
      const parent = inside(this.root, target);
      target.push(isItems(parent?.value) && /^\d+$/.test(step) ? Number(step) : step);
    }
    const found = steps.length === 0 ? null : inside(this.root, target);
    if (found === null) {
      const parent = inside(this.root, target.slice(0, -1));
      const near = isMap(parent?.value) ? didYouMean(String(target.at(-1)), parent.value.keys()) : '';
      throw wrong(node, `\`\${${said}}\` refers to nothing in this file${near}`);
    }
    if (this.#encloses(found)) throw wrong(node, `\`\${${said}}\` refers to what it is a part of`);
    return this.resolve(found, target);
  }

  /** Whether something that is being resolved lies within. */
  #encloses({ value }: Located): boolean {
    const items = isItems(value) ? value : isMap(value) ? [...value.values()] : [];
    return items.some((item) => this.#under.has(item) || this.#encloses(item));
  }
}

/** A default of `oc.env` as OmegaConf reads it: text, but for null. */
function unquoted(text: string): Scalar {
  if (text === 'null') return null;
  return /^(["'])(.*)\1$/s.exec(text)?.[2] ?? text;
}

function wrong({ origin }: Located, what: string): TwinkleError {
  return new TwinkleError('CONFIG_INVALID', `${located(origin)}\`${origin.name}\`: ${what}`);
}
