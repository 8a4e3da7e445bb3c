/** What is said of a cell while the pointer rests on its mark. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ICellWords } from './words';

/** Milliseconds that the pointer rests before anything is shown. */
const REST_MS = 150;
/** Reasons that are told; there may be hundreds. */
const MOST = 6;
const ID = 'jp-casa-hover';
/** Pixels between what is hovered and the words. */
const GAP = 4;

let timer: ReturnType<typeof setTimeout> | undefined;
let shown: { node: HTMLElement; anchor: Element } | null = null;

/** How words are shown. */
export interface IHoverOptions {
  /** What a click does; empty: nothing. */
  hint: string;
  /** Where the pointer is, if the words stand there and not below the element. */
  at?: { readonly x: number; readonly y: number };
}

/**
 * Shows words beside an element, in a moment; what was shown before is gone.
 *
 * @param anchor - The element.
 * @param words - Tells what is so when it is shown; null: nothing.
 * @param trans - Our texts.
 * @param options - By default the hint is that of a cell's mark.
 */
export function showHover(
  anchor: Element,
  words: () => ICellWords | null,
  trans: TranslationBundle,
  options: IHoverOptions = { hint: trans.__('Click: what has changed') }
): void {
  hideHover();
  timer = setTimeout(() => {
    const said = words();
    if (anchor.isConnected && said) {
      show(anchor, contents(said, trans, options.hint), options.at);
    }
  }, REST_MS);
}

/** Something else is so now: if words are shown beside an element, these are; null: none. */
export function updateHover(anchor: HTMLElement, words: ICellWords | null, trans: TranslationBundle): void {
  if (shown?.anchor === anchor) {
    if (words) {
      shown.node.replaceChildren(...contents(words, trans, trans.__('Click: what has changed')));
    } else {
      hideHover();
    }
  }
}

/** Nothing is shown any more. */
export function hideHover(): void {
  clearTimeout(timer);
  if (shown) {
    shown.node.remove();
    shown.anchor.removeAttribute('aria-describedby');
    shown = null;
    document.removeEventListener('keydown', onKey, true);
    document.removeEventListener('scroll', hideHover, true);
  }
}

function contents(words: ICellWords, trans: TranslationBundle, hint: string): HTMLElement[] {
  return [...describe(words, trans), ...(hint ? [element('div', 'jp-casa-hover-hint', hint)] : [])];
}

function onKey(event: KeyboardEvent): void {
  if (event.key === 'Escape') {
    hideHover();
  }
}

function show(
  anchor: Element,
  said: HTMLElement[],
  pointer?: { readonly x: number; readonly y: number }
): void {
  const node = element('div', 'jp-casa-hover');
  node.id = ID;
  node.setAttribute('role', 'tooltip');
  node.append(...said);
  document.body.append(node);
  const at = pointer ? new DOMRect(pointer.x, pointer.y, 0, 12) : anchor.getBoundingClientRect();
  const size = node.getBoundingClientRect();
  const below = at.bottom + GAP;
  const top = below + size.height <= window.innerHeight ? below : at.top - GAP - size.height;
  node.style.left = `${String(Math.max(0, Math.min(at.left, window.innerWidth - size.width - GAP)))}px`;
  node.style.top = `${String(Math.max(0, top))}px`;
  anchor.setAttribute('aria-describedby', ID);
  shown = { node, anchor };
  document.addEventListener('keydown', onKey, true);
  document.addEventListener('scroll', hideHover, true);
}

/** A title, the reasons as a list, and further lines. All of it is set as text. */
export function describe({ title, reasons, lines }: ICellWords, trans: TranslationBundle): HTMLElement[] {
  const list = element('ul', 'jp-casa-hover-reasons');
  list.append(...reasons.slice(0, MOST).map(reason => element('li', '', reason)));
  if (reasons.length > MOST) {
    list.append(element('li', '', trans.__('and %1 more', reasons.length - MOST)));
  }
  return [
    element('div', 'jp-casa-hover-title', title),
    ...(reasons.length ? [list] : []),
    ...lines.map(line => element('div', '', line))
  ];
}

/** An element with a class and text. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  text = ''
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}
