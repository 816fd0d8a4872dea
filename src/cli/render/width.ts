/** How many columns of a terminal a text takes, and texts made safe and short enough for it. Knows code points, not fonts. */

/** Two columns wide: Hangul, CJK, fullwidth forms, emoji. By Unicode's East Asian Width, coarsely. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
/** A colour, as styleText writes it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
const COLOUR = /\u001b\[[0-9;]*m/gy;
const RESET = '\u001b[0m';

/** Columns of a text without colours. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

function charWidth(char: string): number {
  if (char < '\u0300') return 1;
  if (NO_WIDTH.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}

/** Control characters replaced: what others named must not move our cursor or colour our screen. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd');
}

/** Lines of at most `width` columns, broken at blanks; a longer word stays whole. What goes on stands two columns to the right. */
export function wrap(text: string, width: number | null): string[] {
  if (width === null || displayWidth(text) <= width) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<=\S)(?= )/)) {
    if (line.trim() !== '' && displayWidth(line + word) > width) {
      lines.push(line);
      line = `  ${word.trimStart()}`;
    } else line += word;
  }
  return [...lines, line];
}

/** At most `width` columns; what is cut ends in `…`. Colours take no width and are ended where the text is cut. */
export function clip(text: string, width: number): string {
  let used = 0;
  let fits = 0;
  let coloured = false;
  for (let at = 0; at < text.length; ) {
    COLOUR.lastIndex = at;
    const colour = COLOUR.exec(text);
    if (colour !== null) {
      coloured = true;
      at += colour[0].length;
      continue;
    }
    const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
    used += charWidth(char);
    if (used > width) return `${text.slice(0, fits)}…${coloured ? RESET : ''}`;
    at += char.length;
    // The place where the ellipsis would still fit.
    if (used < width) fits = at;
  }
  return text;
}
