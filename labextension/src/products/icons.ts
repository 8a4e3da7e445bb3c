/** The icons of data products. */
import { drawn } from '../icons';

/** Disks upon each other: states of data. */
export const productsIcon = drawn(
  'products',
  '<path d="M12 2c4.7 0 8.5 1.5 8.5 3.3S16.7 8.6 12 8.6 3.5 7.1 3.5 5.3 7.3 2 12 2z"/>' +
    '<path d="M3.5 8.2c1.6 1.5 4.9 2.4 8.5 2.4s6.9-.9 8.5-2.4v3.4c0 1.8-3.8 3.3-8.5 3.3s-8.5-1.5-8.5-3.3z"/>' +
    '<path d="M3.5 14.9c1.6 1.5 4.9 2.4 8.5 2.4s6.9-.9 8.5-2.4v3.5c0 1.9-3.8 3.6-8.5 3.6s-8.5-1.7-8.5-3.6z"/>'
);

/** A radio telescope. */
export const casaIcon = drawn(
  'casa',
  '<path d="M3.2 4.3a9.6 9.6 0 0 0 12.6 12.6z"/>' +
    '<path d="m10.2 9.2 4.7-4.7 1.3 1.3-4.7 4.7z"/><circle cx="16.8" cy="3.9" r="1.9"/>' +
    '<path d="M8.3 16.9 5.4 22h9.2l-2.3-4.3c-1.4 0-2.7-.3-4-.8z"/>'
);

/** A telescope and a book. */
export const tutorialIcon = drawn(
  'tutorial',
  '<path d="M12 6.2C10.2 4.7 7.7 4 4.5 4 3.5 4 2.7 4.1 2 4.2v14.5c.7-.1 1.5-.2 2.5-.2 3.2 0 5.7.7 7.5 2.2z"/>' +
    '<path d="M12 6.2C13.8 4.7 16.3 4 19.5 4c1 0 1.8.1 2.5.2v14.5c-.7-.1-1.5-.2-2.5-.2-3.2 0-5.7.7-7.5 2.2z" opacity=".65"/>'
);
