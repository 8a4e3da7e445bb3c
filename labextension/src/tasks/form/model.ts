/** The form of one call: its parameters, which of them apply, whether their values will do, and how they are changed. */
import type { IMeasurementSet, IParameter, ITask } from '../../server/types';
import { pythonOf, type Read, requoted, same, type Value } from './literal';
import {
  bind,
  edits,
  type IBound,
  type ICall,
  type IEdit,
  isExpression,
  quoteOf,
  readLiteral,
  removable
} from './source';

/** What is wrong with a value. */
export type Problem =
  | { kind: 'python' }
  | { kind: 'type'; wanted: readonly string[] }
  | { kind: 'allowed'; allowed: readonly Value[] };

/** How a value is shown: the text without its quotes, one of several, on or off; or as Python. */
export type Widget = 'text' | 'number' | 'choice' | 'bool' | 'python';

/** One parameter. */
export interface IField {
  readonly parameter: IParameter;
  /** What is written in the call; null: nothing, so the default applies. */
  readonly text: string | null;
  /** The value that it has; null: only Python can tell. */
  readonly read: Read;
  /** 0: no sub-parameter. */
  readonly depth: number;
  /** Whether CASA looks at it, as the other parameters are. */
  readonly applies: boolean;
  readonly problem: Problem | null;
}

/** A call, or one that is still to be written, as a form. It does not change: after an edit there is another one. */
export class CallForm {
  /**
   * @param task - What is called.
   * @param source - Of the cell.
   * @param call - In it.
   * @param values - Of names in the notebook, as far as they are known.
   */
  constructor(
    readonly task: ITask,
    readonly source: string,
    readonly call: ICall,
    private readonly _values: ReadonlyMap<string, Value> = new Map()
  ) {
    const positional = task.parameters.filter(parameter => !parameter.keyword_only).map(({ name }) => name);
    this._bound = bind(call, positional, new Set(task.parameters.map(({ name }) => name)));
    this.fields = this._read();
  }

  /** The parameters, each sub-parameter below the one that it belongs to. */
  readonly fields: readonly IField[];

  /** Arguments that fit no parameter, or that are given twice, as they are written. */
  get misfits(): readonly string[] {
    return this._bound.misfits.map(({ from, to }) => this.source.slice(from, to));
  }

  /** Whether `**arguments` are given, in which there may be more. */
  get spread(): boolean {
    return this._bound.spread;
  }

  /** The field of a parameter. */
  field(name: string): IField | undefined {
    return this.fields.find(({ parameter }) => parameter.name === name);
  }

  /** What is wrong with Python source as the value of a parameter. */
  check(parameter: IParameter, text: string): Problem | null {
    if (!isExpression(text)) {
      return { kind: 'python' };
    }
    const read = readLiteral(text);
    return read && checkValue(parameter, read.value, text);
  }

  /** The edits that give a parameter a value, as Python source; null: its default. None: it has it already. */
  edits(name: string, text: string | null): IEdit[] {
    const argument = this._bound.given.get(name);
    const field = this.field(name);
    if (!field || !this.call.sound) {
      return [];
    }
    let wanted = text;
    if (wanted === null && argument && !removable(this.call, argument)) {
      wanted = pythonOf(field.parameter.default, { quote: this.quote, real: isReal(field.parameter) });
    }
    const now = field.text === null ? null : readLiteral(field.text);
    const next = wanted === null ? null : readLiteral(wanted);
    if (wanted === field.text || (now && next && same(now.value, next.value))) {
      return [];
    }
    return edits(this.source, this.call, this._bound, new Map([[name, wanted]]));
  }

  /** Python's source of a text that was typed into a field, in the quotes that are there. */
  asText(name: string, typed: string): string {
    return requoted(typed, this.field(name)?.text ?? '', this.quote);
  }

  /** The quote of this call's texts. */
  get quote(): string {
    return quoteOf(this.source, this.call);
  }

  /** The MeasurementSet that the call is about, as it is named there; null: nobody can tell. */
  get measurementSet(): string | null {
    const candidates = [
      'vis',
      ...this.task.parameters.filter(({ kind }) => kind === 'ms').map(({ name }) => name)
    ];
    for (const name of candidates) {
      const value = this.field(name)?.read?.value;
      const first = Array.isArray(value) ? value[0] : value;
      if (typeof first === 'string' && first) {
        return first;
      }
    }
    return null;
  }

  private _read(): IField[] {
    const { parameters, conditions } = this.task;
    const reads = new Map<string, Read>();
    const texts = new Map<string, string>();
    for (const { name, default: preset } of parameters) {
      const argument = this._bound.given.get(name);
      const text = argument && this.source.slice(argument.value.from, argument.value.to);
      const named = text === undefined ? undefined : this._values.get(text);
      reads.set(
        name,
        argument ? (argument.read ?? (named === undefined ? null : { value: named })) : { value: preset }
      );
      if (text !== undefined) {
        texts.set(name, text);
      }
    }
    const parents = new Map<string, typeof conditions>();
    for (const condition of conditions) {
      for (const name of Object.keys(condition.defaults)) {
        if (name !== condition.parameter) {
          parents.set(name, [...(parents.get(name) ?? []), condition]);
        }
      }
    }
    // What only Python can tell may be anything: its sub-parameters are shown.
    const holds = (condition: (typeof conditions)[number]): boolean => {
      const read = reads.get(condition.parameter);
      return !read || same(read.value, condition.value) === condition.equals;
    };
    const applies = (name: string, below: readonly string[] = []): boolean => {
      const of = parents.get(name);
      return (
        !of ||
        of.some(
          condition =>
            holds(condition) &&
            !below.includes(condition.parameter) &&
            applies(condition.parameter, [...below, condition.parameter])
        )
      );
    };
    const found: IField[] = [];
    const seen = new Set<string>();
    const add = (parameter: IParameter, depth: number) => {
      const { name } = parameter;
      if (seen.has(name)) {
        return;
      }
      seen.add(name);
      const text = texts.get(name) ?? null;
      const read = reads.get(name) ?? null;
      const problem = text !== null && read ? checkValue(parameter, read.value, text) : null;
      found.push({ parameter, text, read, depth, applies: applies(name), problem });
      for (const other of parameters) {
        const of = parents.get(other.name);
        const nearest = of?.find(holds) ?? of?.[0];
        if (nearest?.parameter === name) {
          add(other, depth + 1);
        }
      }
    };
    parameters
      .filter(({ name }) => !parents.has(name))
      .forEach(parameter => {
        add(parameter, 0);
      });
    parameters.forEach(parameter => {
      add(parameter, 1); // those that depend on each other
    });
    return found;
  }

  private readonly _bound: IBound;
}

/** Whether a field is to be seen: it applies, or somebody has given it a value. */
export function isShown(field: IField): boolean {
  return field.text !== null || (field.applies && !field.parameter.hidden);
}

/** How a field is edited best. */
export function widgetOf({ parameter, read, text }: IField): Widget {
  const types = parameter.type.split('|');
  if (!read || (text !== null && readLiteral(text) === null)) {
    return 'python';
  }
  const { value } = read;
  if (typeof value === 'boolean' && types.includes('bool')) {
    return 'bool';
  }
  if (parameter.allowed.length && (value === null || typeof value !== 'object')) {
    return 'choice';
  }
  if (typeof value === 'string' && types.some(type => /^(string|path|variant)/.test(type))) {
    return 'text';
  }
  return typeof value === 'number' && types.some(type => /^(int|double|float)/.test(type))
    ? 'number'
    : 'python';
}

const isReal = ({ type }: IParameter): boolean => type === 'double' || type === 'float';

/** Python's source of a parameter's default. */
export function defaultText(parameter: IParameter, quote = "'"): string {
  return pythonOf(parameter.default, { quote, real: isReal(parameter) });
}

/** What is wrong with a value. `text`: how it is written, because `5.0` is no whole number. */
export function checkValue(parameter: IParameter, value: Value, text: string): Problem | null {
  if (same(value, parameter.default)) {
    return null;
  }
  const types = parameter.type.split('|');
  const alone = types.length === 1;
  if (!types.some(type => fits(value, type, text, alone))) {
    return { kind: 'type', wanted: types };
  }
  const items = Array.isArray(value) ? value : [value];
  const allowed = parameter.allowed;
  return allowed.length && !items.every(item => allowed.some(one => same(one, item)))
    ? { kind: 'allowed', allowed }
    : null;
}

function fits(value: Value, type: string, text: string, alone: boolean): boolean {
  if (/(Vec|Array)$/.test(type)) {
    const item = type.replace(/(Vec|Array)$/, '');
    // A single value becomes a list where nothing else is possible.
    return Array.isArray(value)
      ? value.every(one => (Array.isArray(one) ? fits(one, type, text, false) : fits(one, item, text, alone)))
      : alone && fits(value, item, text, alone);
  }
  switch (type) {
    case 'string':
    case 'path':
      return typeof value === 'string';
    case 'bool':
      return typeof value === 'boolean';
    case 'int':
      return (
        typeof value === 'number' &&
        Number.isInteger(value) &&
        (/^[-+]?0x/i.test(text) || !/^[-+\d_]*[.e]/i.test(text))
      );
    case 'double':
    case 'float':
      return typeof value === 'number' || typeof value === 'boolean';
    case 'record':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return true; // variant, and what CASA may invent
  }
}

// -- what there is to choose from ----------------------------------------------------------------------------------

/** Something that a selection can name. */
export interface IOffer {
  value: string;
  label: string;
  /** Another way to name it. */
  other?: string;
}

const OFFERED: readonly [RegExp, (ms: IMeasurementSet) => IOffer[]][] = [
  [
    /^(field|gainfield|fieldid|transfer|reference|sourcefield|calfield)$/,
    ({ fields }) => fields.map(fieldOffer)
  ],
  [
    /^(spw|spws|freqspw|fitspw)$/,
    ({ spws }) =>
      spws.map(({ id, name, channels, frequency }) => ({
        value: String(id),
        label: `${String(id)}: ${name}, ${String(channels)} × ${(frequency / 1e9).toPrecision(5)} GHz`
      }))
  ],
  [
    /^(antenna|refant|antennas)$/,
    ({ antennas }) =>
      antennas.map(({ name, station }) => ({ value: name, label: station ? `${name} (${station})` : name }))
  ],
  [
    /^scan$/,
    ({ scans, fields }) =>
      (scans ?? []).map(scan => {
        const names = scan.fields
          .map(id => fields.find(field => field.id === id)?.name ?? String(id))
          .join(', ');
        return { value: String(scan.number), label: `${String(scan.number)}: ${names}, ${scan.begin}` };
      })
  ],
  [
    /^timerange$/,
    ({ scans }) =>
      (scans ?? []).map(({ number, begin, end }) => ({
        value: `${begin}~${end}`,
        label: `${String(number)}: ${begin} – ${end.split('/').at(-1) ?? ''}`
      }))
  ],
  [/^intent$/, ({ intents }) => intents.map(intent => ({ value: intent, label: intent }))],
  [/^correlation$/, ({ correlations }) => correlations.map(name => ({ value: name, label: name }))]
];

/** A field by its name where that can only be a name, else by its number. */
function fieldOffer({ id, name }: { id: number; name: string }): IOffer {
  const plain = /^[\w.+-]+$/.test(name) && !/^\d+$/.test(name);
  return {
    value: plain ? name : String(id),
    label: `${String(id)}: ${name}`,
    other: plain ? String(id) : name
  };
}

/** What a MeasurementSet offers for a parameter. */
export function offersOf(parameter: string, ms: IMeasurementSet): IOffer[] {
  return OFFERED.find(([names]) => names.test(parameter))?.[1](ms) ?? [];
}

/** Whether a MeasurementSet could offer something for a parameter. */
export function isOffered(parameter: string): boolean {
  return OFFERED.some(([names]) => names.test(parameter));
}

/** The parts of a selection: what stands between commas, quotes and brackets apart. */
export function selected(selection: string): string[] {
  return (selection.match(/("[^"]*"|'[^']*'|[^,])+/g) ?? []).map(part => part.trim()).filter(Boolean);
}

/** Whether a selection names something. */
export function isSelected(selection: string, { value, other }: IOffer): boolean {
  return selected(selection).some(part => part === value || part === other);
}

/** A selection with one part more, or without it. */
export function toggled(selection: string, offer: IOffer): string {
  const parts = selected(selection);
  const { value, other } = offer;
  const rest = parts.filter(part => part !== value && part !== other);
  return (isSelected(selection, offer) ? rest : [...parts, value]).join(',');
}

/** What a file picker is to pick for a parameter; null: it names no data. MeasurementSets and images are directories. */
export function picks(parameter: IParameter, task: ITask): 'directory' | 'file' | null {
  const types = parameter.type.split('|');
  const text = types.some(type => /^(string|path|variant)/.test(type));
  const named = task.effects.uses.some(use => use.parameters.includes(parameter.name));
  if (!text || !(named || types.some(type => type.startsWith('path')))) {
    return null;
  }
  return /fits|file|script|callib|region|log|txt|json|plot/.test(parameter.name) ? 'file' : 'directory';
}

const ASIDE = /^(list|log|fig|plot)file$/;

/** The parameters that a new call begins with: those that name data and have no default. */
export function essential(task: ITask): string[] {
  const shown = task.parameters.filter(
    parameter =>
      !parameter.subparameter &&
      !parameter.hidden &&
      same(parameter.default, '') &&
      !ASIDE.test(parameter.name)
  );
  const uses = (access: RegExp) =>
    task.effects.uses.filter(use => access.test(use.access)).flatMap(use => use.parameters);
  const wanted = shown.filter(
    ({ name, must_exist: needed }) =>
      needed || uses(/^(modify|write|continue)$/).includes(name) || name === 'vis'
  );
  return wanted.slice(0, 3).map(({ name }) => name);
}

/** Python's source of a new call, and where to begin typing. */
export function newCall(task: ITask, name = task.name): { text: string; cursor: number } {
  const names = essential(task);
  const text = `${name}(${names.map(one => `${one}=''`).join(', ')})`;
  return { text, cursor: names.length ? text.indexOf("''") + 1 : text.length - 1 };
}
