/** Folders of the server's disk that clients name to have copies of what they save. */
export interface Exports {
  /**
   * @returns the folder, absolute
   * @throws `INVALID_REQUEST` for what is none, `UNSUPPORTED_PARAMETER` where clients may name none
   */
  check(folder: unknown): string;
  /**
   * Copy files into a folder below it, in place of what is there.
   * @param below names of folders
   * @returns that folder
   */
  copy(
    files: readonly { readonly name: string; readonly path: string }[],
    folder: string,
    below: readonly string[],
  ): Promise<string>;
}
