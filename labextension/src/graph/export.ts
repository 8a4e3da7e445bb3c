/** The graph as a file: a picture of its own, in the colours of the theme. */

/** Properties that the style sheet gives what is drawn. */
const PROPERTIES = [
  'display',
  'fill',
  'fill-opacity',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'stroke-linecap',
  'stroke-linejoin',
  'opacity',
  'font-family',
  'font-size',
  'font-weight',
  'font-style'
] as const;
/** Pixels that a picture may have in a direction, and in all: browsers draw no larger ones. */
const MOST = { side: 16_384, area: 120_000_000 };

/**
 * A picture as a document of its own.
 *
 * @param picture - It is put into `host` for a moment, where the style sheet holds.
 * @param host - Somewhere in the page.
 * @param title - Of the document.
 */
export function asSvg(picture: SVGSVGElement, host: HTMLElement, title: string): string {
  const box = document.createElement('div');
  box.className = 'jp-casa-graph-export';
  box.setAttribute('aria-hidden', 'true');
  box.append(picture);
  host.append(box);
  try {
    for (const node of picture.querySelectorAll('.jp-casa-graph-reach')) {
      node.remove(); // only takes the pointer
    }
    const styles = [...picture.querySelectorAll<SVGElement>('*')].map(node => {
      const style = getComputedStyle(node);
      return PROPERTIES.map(name => [name, style.getPropertyValue(name)] as const);
    });
    const ground = getComputedStyle(host).backgroundColor;
    [...picture.querySelectorAll<SVGElement>('*')].forEach((node, n) => {
      const own = styles[n] ?? [];
      if (own.some(([name, value]) => name === 'display' && value === 'none')) {
        node.remove();
        return;
      }
      for (const [name, value] of own) {
        const inherited = !node.matches('text') && name.startsWith('font');
        if (value && name !== 'display' && !inherited && value !== DEFAULTS[name]) {
          node.setAttribute(name, value);
        }
      }
      for (const { name } of [...node.attributes]) {
        if (
          name === 'class' ||
          name === 'tabindex' ||
          name === 'role' ||
          name.startsWith('data-') ||
          name.startsWith('aria-')
        ) {
          node.removeAttribute(name);
        }
      }
    });
    picture.removeAttribute('class');
    const rect = document.createElementNS(picture.namespaceURI, 'rect');
    rect.setAttribute('width', '100%');
    rect.setAttribute('height', '100%');
    rect.setAttribute('fill', ground);
    const name = document.createElementNS(picture.namespaceURI, 'title');
    name.textContent = title;
    picture.prepend(name, rect);
    return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(picture)}\n`;
  } finally {
    box.remove();
  }
}

const DEFAULTS: { readonly [name: string]: string } = {
  'fill-opacity': '1',
  opacity: '1',
  stroke: 'none',
  'stroke-dasharray': 'none',
  'stroke-linecap': 'butt',
  'stroke-linejoin': 'miter',
  'stroke-width': '1px',
  'font-style': 'normal',
  'font-weight': '400'
};

/** The same as PNG, twice as large as on the screen, as far as browsers can. */
export async function asPng(document_: string): Promise<Blob> {
  const url = URL.createObjectURL(new Blob([document_], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const { naturalWidth: width, naturalHeight: height } = image;
    const scale = Math.min(2, MOST.side / Math.max(width, height), Math.sqrt(MOST.area / (width * height)));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob(blob => {
        if (blob) {
          resolve(blob);
        } else {
          reject(new Error('The browser cannot draw so large a picture.'));
        }
      }, 'image/png');
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Has the browser save a file. */
export function download(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 10_000);
}
