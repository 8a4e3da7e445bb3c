// The compiler takes no files from outside of `src`; the bundler finds it.
declare module '*/package.json' {
  /** The version of this extension. */
  export const version: string;
}
