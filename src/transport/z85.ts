/** Z85 (ZeroMQ RFC 32): 32-byte keys as 40 printable characters. Pure. */

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** @param text a multiple of 5 characters; throws RangeError for others and for characters outside the alphabet */
export function decodeZ85(text: string): Buffer {
  if (text.length % 5 !== 0) throw new RangeError(`Z85 text has a length of ${text.length}, no multiple of 5`);
  const bytes = Buffer.alloc((text.length / 5) * 4);
  for (let at = 0; at < text.length; at += 5) {
    let value = 0;
    for (const digit of text.slice(at, at + 5)) {
      const worth = DIGITS.indexOf(digit);
      if (worth < 0) throw new RangeError(`\`${digit}\` is no Z85 digit`);
      value = value * 85 + worth;
    }
    bytes.writeUInt32BE(value, (at / 5) * 4);
  }
  return bytes;
}

/** @param bytes a multiple of 4; throws RangeError for others */
export function encodeZ85(bytes: Buffer): string {
  if (bytes.length % 4 !== 0) throw new RangeError(`${bytes.length} bytes are no multiple of 4`);
  let text = '';
  for (let at = 0; at < bytes.length; at += 4) {
    const value = bytes.readUInt32BE(at);
    for (const worth of [85 ** 4, 85 ** 3, 85 ** 2, 85, 1]) text += DIGITS[Math.floor(value / worth) % 85];
  }
  return text;
}
