/** For ends: every step is taken, whatever the ones before it met. */

/** Takes the steps in order; returns what they threw. */
export async function runAll(steps: readonly (() => unknown)[]): Promise<unknown[]> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}
