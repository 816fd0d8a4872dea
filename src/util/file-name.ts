/** How a name that users gave stands in the names of files. */

/** Without characters that a path or a shell reads; never empty, and no flag. */
export function fileName(text: string): string {
  return text.replace(/[^\w.-]+/g, '-').replace(/^-+/, '') || 'model';
}
