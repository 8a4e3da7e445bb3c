/** Beginning the tutorial. */
import type { CasaServer } from './server/client';

/** Who is asked when the tutorial is there already and was changed: to open it, or to begin anew; null: neither. */
export type Ask = (changed: readonly string[]) => Promise<'open' | 'beside' | null>;

/**
 * Writes the tutorial into a directory, where it is not there yet.
 *
 * @returns The path of its notebook; null: nobody wants it.
 */
export async function beginTutorial(
  server: Pick<CasaServer, 'tutorial'>,
  cwd: string,
  ask: Ask
): Promise<string | null> {
  const there = await server.tutorial(cwd);
  if (!there.changed.length) {
    return there.path;
  }
  switch (await ask(there.changed)) {
    case 'open':
      return there.path;
    case 'beside':
      return (await server.tutorial(cwd, true)).path;
    default:
      return null;
  }
}
