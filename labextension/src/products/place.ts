/** Where a product lies, as the file browser has it. */
import { PathExt } from '@jupyterlab/coreutils';

/**
 * The path of a product from the server's root; null: it lies outside.
 *
 * @param product - Relative to the workspace; absolute, if it is outside of it.
 * @param workspace - From the server's root.
 * @param absolute - The same on the server's disk; null: not known.
 */
export function placeOf(product: string, workspace: string, absolute: string | null): string | null {
  if (!product.startsWith('/')) {
    return PathExt.join(workspace, product);
  }
  if (absolute === null || !`/${absolute}`.endsWith(workspace && `/${workspace}`)) {
    return null;
  }
  const root = absolute.slice(0, absolute.length - workspace.length).replace(/\/+$/, '');
  return product.startsWith(`${root}/`) ? product.slice(root.length + 1) : null;
}
