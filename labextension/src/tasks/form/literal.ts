/** Python's literals: what a piece of source says, and how a value is written. */
import type { SyntaxNode } from '@lezer/common';
import type { Json } from '../../server/types';

/** A value as JSON has it; tuples are lists. */
export type Value = Json;

/** A value that was read; nothing: it is no literal. */
export type Read = { value: Value } | null;

/** What a syntax node says. */
export function valueOf(node: SyntaxNode, source: string): Read {
  const text = source.slice(node.from, node.to);
  switch (node.name) {
    case 'None':
      return { value: null };
    case 'Boolean':
      return { value: text === 'True' };
    case 'Number':
      return numberOf(text);
    case 'String':
      return stringOf(text);
    case 'ContinuedString': {
      const parts = items(node).map(part => valueOf(part, source)?.value);
      return parts.every(part => typeof part === 'string') ? { value: parts.join('') } : null;
    }
    case 'UnaryExpression': {
      const sign = source[node.from];
      const operand = items(node).at(-1);
      const read = operand?.name === 'Number' ? valueOf(operand, source) : null;
      if (typeof read?.value !== 'number' || (sign !== '-' && sign !== '+')) {
        return null;
      }
      return { value: sign === '-' ? -read.value : read.value };
    }
    case 'ParenthesizedExpression': {
      const inner = items(node);
      return inner.length === 1 && inner[0] ? valueOf(inner[0], source) : null;
    }
    case 'ArrayExpression':
    case 'TupleExpression': {
      const values: Value[] = [];
      for (const item of items(node)) {
        const read = valueOf(item, source);
        if (!read) {
          return null;
        }
        values.push(read.value);
      }
      return { value: values };
    }
    case 'DictionaryExpression': {
      const parts = items(node);
      const entries: [string, Value][] = [];
      for (let i = 0; i < parts.length; i += 2) {
        const key = parts[i] && valueOf(parts[i] as SyntaxNode, source);
        const value = parts[i + 1] && valueOf(parts[i + 1] as SyntaxNode, source);
        if (!value || typeof key?.value !== 'string') {
          return null;
        }
        entries.push([key.value, value.value]);
      }
      return { value: Object.fromEntries(entries) };
    }
    default:
      return null;
  }
}

/** The children of a node that say something: no brackets, commas, comments. */
function items(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) {
    if (!'()[]{},:'.includes(child.name) && child.name !== 'Comment' && !child.name.endsWith('Op')) {
      found.push(child);
    }
  }
  return found;
}

function numberOf(text: string): Read {
  const plain = text.replaceAll('_', '');
  if (/[jl]$/i.test(plain) && !/^0x/i.test(plain)) {
    return null; // a complex number
  }
  const value = Number(plain);
  const whole = /^(\d+|0[xob][\da-f]+)$/i.test(plain);
  return Number.isFinite(value) && (!whole || Number.isSafeInteger(value)) ? { value } : null;
}

const LITERAL = /^([a-z]*)('''|"""|'|")([^]*)$/i;
const ESCAPE = /\\(\r\n|\r|\n|[0-7]{1,3}|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|N\{[^}]*\}|[^])/g;
const ESCAPED: Record<string, string> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v'
};

function stringOf(text: string): Read {
  const [, prefix = '', quote = '', rest = ''] = LITERAL.exec(text) ?? [];
  if (!quote || !rest.endsWith(quote) || /[bf]/i.test(prefix)) {
    return null; // bytes, or not closed
  }
  const body = rest.slice(0, -quote.length).replace(/\r\n?/g, '\n');
  if (/r/i.test(prefix)) {
    return { value: body };
  }
  let known = true as boolean;
  const value = body.replace(ESCAPE, (whole, code: string) => {
    if (code === '\n') {
      return ''; // the line goes on
    }
    if (/^[0-7]/.test(code)) {
      return String.fromCodePoint(parseInt(code, 8));
    }
    if (/^[xuU]./.test(code)) {
      const point = parseInt(code.slice(1), 16);
      known &&= point <= 0x10ffff;
      return known ? String.fromCodePoint(point) : whole;
    }
    // The name of a character is not looked up: the argument stays as it is written.
    known &&= !code.startsWith('N{');
    return ESCAPED[code] ?? whole;
  });
  return known ? { value } : null;
}

/** How a text is written. */
export interface IStyle {
  /** `'` or `"`. */
  quote: string;
  /** Whether a number without a fraction gets one. */
  real?: boolean;
}

/** Python's source of a value. */
export function pythonOf(value: Value, style: IStyle = { quote: "'" }): string {
  if (value === null) {
    return 'None';
  }
  if (typeof value === 'boolean') {
    return value ? 'True' : 'False';
  }
  if (typeof value === 'number') {
    const text = Object.is(value, -0) ? '-0' : String(value);
    return (style.real ?? Object.is(value, -0)) && /^-?\d+$/.test(text) ? `${text}.0` : text;
  }
  if (typeof value === 'string') {
    return quoted(value, style.quote);
  }
  if (Array.isArray(value)) {
    return `[${value.map(item => pythonOf(item, style)).join(', ')}]`;
  }
  const entries = Object.entries(value);
  return `{${entries.map(([key, item]) => `${quoted(key, style.quote)}: ${pythonOf(item, style)}`).join(', ')}}`;
}

const WRITTEN: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(value: string, preferred: string): string {
  const other = preferred === "'" ? '"' : "'";
  const quote = value.includes(preferred) && !value.includes(other) ? other : preferred;
  const body = value.replace(/[\\'"\p{Cc}\p{Cs}\u2028\u2029]/gu, character => {
    if (character === "'" || character === '"') {
      return character === quote ? `\\${character}` : character;
    }
    return WRITTEN[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return quote + body + quote;
}

/** The source of a text in place of another: the same prefix and quotes where they can be kept. */
export function requoted(value: string, former: string, preferred: string): string {
  const [, prefix = '', quote = ''] = LITERAL.exec(former) ?? [];
  if (!quote || /[bf]/i.test(prefix) || former.slice(prefix.length + quote.length).indexOf(quote) < 0) {
    return quoted(value, preferred);
  }
  const raw = /r/i.test(prefix);
  const plain = !/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(quote.length === 3 ? value.replaceAll('\n', '') : value);
  const fits =
    plain && !value.includes(quote[0] ?? '') && !(raw ? value.endsWith('\\') : value.includes('\\'));
  return fits ? prefix + quote + value + quote : quoted(value, quote[0] ?? preferred);
}

/** Whether two values are the same; `1` and `1.0` are. */
export function same(one: Value, other: Value): boolean {
  if (one === null || other === null || typeof one !== 'object' || typeof other !== 'object') {
    return one === other;
  }
  if (Array.isArray(one) || Array.isArray(other)) {
    return (
      Array.isArray(one) &&
      Array.isArray(other) &&
      one.length === other.length &&
      one.every((item, index) => same(item, other[index] as Value))
    );
  }
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every(key => key in other && same(one[key] as Value, other[key] as Value))
  );
}
