/** What a file asks for that a start does not do yet: said at every start, as nothing else would say it. Pure. */
import type { TwinkleConfig } from './types.js';

/** A sentence for each. */
export function notYet({ applications, persistence, telemetry }: TwinkleConfig): readonly string[] {
  const processors = applications.filter(({ kind }) => kind === 'processor').map(({ name }) => `"${name}"`);
  return [
    ...(processors.length === 0
      ? []
      : [
          `application ${processors.join(', ')}: processors do not run on the server yet; clients prepare their data themselves`,
        ]),
    ...(persistence.mode === 'memory'
      ? []
      : [
          `\`persistence\`: mode ${persistence.mode} is not here yet; state is kept in the home folder, and survives a restart there`,
        ]),
    ...(telemetry.enabled ? ['`telemetry`: nothing is pushed yet; metrics are at /metrics'] : []),
  ];
}
