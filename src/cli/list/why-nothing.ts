/** What an empty listing says. */
import type { Found } from './gather.js';

/** `nothing runs in HOME`, or that what runs has none. */
export function whyNothing(things: string, home: string, { running, found }: Found<unknown>): string {
  if (running === 0) return `nothing runs in ${home}`;
  return found.length === 0 ? `no ${things}: nothing that runs in ${home} tells of any` : `no ${things}`;
}
