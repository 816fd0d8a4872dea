/** A vendor library's reason for not being in use, as people want to read it. Knows no vendor. */

/** Every attempt of dlopen, or the exec, ended with: there is no such file. */
const ABSENT = /^(?:[^;]*: No such file or directory(?:; |$))+$|^exec [^;]*\(No such file or directory\)/;

/** `not installed` where nothing was found, whatever was tried; else the loader's own words. */
export function whyNotLoaded(reason: string | null): string {
  if (reason === null) return 'not loaded';
  return ABSENT.test(reason) ? 'not installed' : reason;
}
