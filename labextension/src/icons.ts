/** Our icons. They take the theme's colour. */
import { LabIcon } from '@jupyterlab/ui-components';

/**
 * An icon of 24 by 24.
 *
 * @param name - Among ours.
 * @param body - What is drawn, in SVG.
 */
export const drawn = (name: string, body: string): LabIcon =>
  new LabIcon({
    name: `jupyterlab-casa:${name}`,
    svgstr:
      '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
      `<g class="jp-icon3" fill="#616161">${body}</g></svg>`
  });

/** A dish above a list. */
export const tasksIcon = drawn(
  'tasks',
  '<path d="M4.1 2.6a8 8 0 0 0 10.5 10.5z"/><path d="m10 6.7 3.9-3.9 1.2 1.2-3.9 3.9z"/>' +
    '<circle cx="15.6" cy="2.9" r="1.6"/>' +
    '<path d="M3 15.5h3v2H3zm5 0h13v2H8zM3 19.5h3v2H3zm5 0h13v2H8z"/>'
);

/** Fields with their labels. */
export const formIcon = drawn(
  'form',
  '<path d="M3 4h7v2H3zm0 7h7v2H3zm0 7h7v2H3z"/>' +
    '<path d="M12 2.5h9.5v5H12zM13.5 4v2H20V4zM12 9.5h9.5v5H12zm1.5 1.5v2H20v-2zM12 16.5h9.5v5H12zm1.5 1.5v2H20v-2z" fill-rule="evenodd"/>'
);
