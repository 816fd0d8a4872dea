/** Numbers as Python's format writes them: halves that are exact go to the even digit, and exponents have two digits. Pure. */

/** JavaScript writes as many digits at most. */
const MOST = 100;

/** As `f"{value:.<digits>f}"`, below 1e21. */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return special(value);
  const size = Math.abs(value);
  const rounded = size.toFixed(digits);
  const exact = size.toFixed(MOST);
  const kept = exact.length - (MOST - digits);
  return sign(value) + evened(rounded, exact.slice(0, digits === 0 ? kept - 1 : kept), exact.slice(kept));
}

/** As `f"{value:.<digits>e}"`, of at least one digit. */
export function exponential(value: number, digits: number): string {
  if (!Number.isFinite(value)) return special(value);
  const size = Math.abs(value);
  const [rounded = '', power = ''] = size.toExponential(digits).split('e');
  const [exact = ''] = size.toExponential(MOST).split('e');
  const cut = digits + 2;
  const exponent = `${power.slice(0, 1)}${power.slice(1).padStart(2, '0')}`;
  return `${sign(value)}${evened(rounded, exact.slice(0, cut), exact.slice(cut))}e${exponent}`;
}

/** JavaScript rounds an exact half up; down is what was cut off. */
function evened(rounded: string, down: string, rest: string): string {
  return /^50*$/.test(rest) && /[13579]$/.test(rounded) ? down : rounded;
}

const sign = (value: number): string => (value < 0 || Object.is(value, -0) ? '-' : '');

function special(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  return value > 0 ? 'inf' : '-inf';
}
