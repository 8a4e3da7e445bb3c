/**
 * Calls of tasks in a cell's source: found, read, and written back.
 *
 * What is written back are edits of the arguments that changed. All else (quotes, commas, comments, indentation, how
 * lines are broken) stays as it was, to the byte.
 */
import type { SyntaxNode, Tree } from '@lezer/common';
import { parser } from '@lezer/python';
import { type Read, type Value, valueOf } from './literal';

/** A piece of the source. */
export interface ISpan {
  from: number;
  to: number;
}

/** What is put in place of a piece of the source. */
export interface IEdit extends ISpan {
  insert: string;
}

/** An argument of a call. */
export interface IArgument extends ISpan {
  /** By which it is given; null: by its position, or several at once. */
  keyword: string | null;
  /** `*` and `**`: what follows is taken apart. */
  spread: '' | '*' | '**';
  value: ISpan;
  /** What it says; null: something that only Python can tell. */
  read: Read;
}

/** A call of a task. */
export interface ICall extends ISpan {
  task: string;
  /** The arguments, with their parentheses. */
  list: ISpan;
  arguments: IArgument[];
  /** Whether it is written as Python wants it. What is not can be shown, but not changed. */
  sound: boolean;
}

/** Which tasks there are, and which names stand for them. */
export interface IScope {
  /** All tasks. */
  known: ReadonlySet<string>;
  /** The packages that hold them. */
  packages: ReadonlySet<string>;
  /** Names that stand for a task. */
  tasks: ReadonlyMap<string, string>;
  /** Names that stand for a package. */
  modules: ReadonlySet<string>;
  /** Values of names to which a literal was assigned last. */
  values: ReadonlyMap<string, Value>;
}

/** What the kernel knows from the start: all tasks by their own names. */
export function initialScope(tasks: Iterable<string>, packages: Iterable<string>): IScope {
  const known = new Set(tasks);
  const modules = new Set(packages);
  const own = new Map(Array.from(known, name => [name, name]));
  return { known, packages: modules, tasks: own, modules, values: new Map() };
}

/** The calls in a source, from the top, and what its names stand for after it. */
export function readSource(source: string, scope: IScope): { calls: ICall[]; scope: IScope } {
  const found = parsed(source);
  return found ? new Reader(source, scope).read(found) : { calls: [], scope };
}

/** The call at a place: the innermost around it, else one in the same lines, else the only one there is. */
export function callAt(calls: readonly ICall[], source: string, offset: number): ICall | null {
  const around = calls.filter(call => call.from <= offset && offset <= call.to);
  const innermost = around.reduce<ICall | null>(
    (best, call) => (best && best.to - best.from <= call.to - call.from ? best : call),
    null
  );
  if (innermost) {
    return innermost;
  }
  const start = source.lastIndexOf('\n', offset - 1) + 1;
  const end = source.indexOf('\n', offset);
  const line = calls.filter(call => call.from <= (end < 0 ? source.length : end) && call.to >= start);
  const before = line.filter(call => call.to <= offset);
  return before.at(-1) ?? line[0] ?? (calls.length === 1 ? (calls[0] ?? null) : null);
}

/** What a call gives to parameters. */
export interface IBound {
  /** By the name of the parameter. */
  given: Map<string, IArgument>;
  /** Those that fit no parameter, and second ones for the same. */
  misfits: IArgument[];
  /** `**arguments`: parameters that are not in `given` may be in there. */
  spread: boolean;
}

/** Which argument is for which parameter. `positional`: those that may be given without a name, in order. */
export function bind(call: ICall, positional: readonly string[], all: ReadonlySet<string>): IBound {
  const given = new Map<string, IArgument>();
  const misfits: IArgument[] = [];
  let spread = false;
  let place: number | null = 0;
  for (const argument of call.arguments) {
    let name = argument.keyword;
    if (argument.spread) {
      spread = true;
      place = argument.spread === '*' ? null : place;
      continue;
    }
    if (name === null) {
      // After `*arguments` nobody knows the place.
      name = place === null ? null : (positional[place++] ?? null);
    }
    if (name === null || !all.has(name) || given.has(name)) {
      misfits.push(argument);
    } else {
      given.set(name, argument);
    }
  }
  return { given, misfits, spread };
}

/** The value of a piece of source, if all of it is one literal. */
export function readLiteral(text: string): Read {
  const expression = expressionOf(text);
  return expression && valueOf(expression.node, expression.source);
}

/** Whether a text can stand as an argument. */
export function isExpression(text: string): boolean {
  return expressionOf(text) !== null;
}

/**
 * The edits that change arguments of a call. They are to be made one after the other, each in the text that the former
 * have left.
 *
 * @param changes - Source of the new value by parameter; null: the argument goes. One that others follow by their position
 * cannot; see `removable`.
 */
export function edits(
  source: string,
  call: ICall,
  bound: IBound,
  changes: ReadonlyMap<string, string | null>
): IEdit[] {
  const found: IEdit[] = [];
  const added: [string, string][] = [];
  const going = new Set<IArgument>();
  for (const [name, text] of changes) {
    const argument = bound.given.get(name);
    if (!argument) {
      if (text !== null) {
        added.push([name, text]);
      }
    } else if (text === null) {
      going.add(argument);
    } else {
      found.push({ from: argument.value.from, to: argument.value.to, insert: text });
    }
  }
  found.push(...removals(source, call, going));
  const steps = found.sort((one, other) => other.from - one.from);
  return added.length ? [...steps, ...additions(apply(source, steps), call.list.from, added)] : steps;
}

/** Whether the argument of a parameter can be taken out without moving others to another place. */
export function removable(call: ICall, argument: IArgument): boolean {
  const after = call.arguments.slice(call.arguments.indexOf(argument) + 1);
  return argument.keyword !== null || after.every(other => other.keyword !== null || other.spread === '**');
}

/** The source with edits made, one after the other. */
export function apply(source: string, steps: readonly IEdit[]): string {
  return steps.reduce((text, { from, to, insert }) => text.slice(0, from) + insert + text.slice(to), source);
}

/** The innermost statement around a place; null: there is none. */
export function statementAt(source: string, offset: number): ISpan | null {
  let node: SyntaxNode | null = parsed(source)?.tree.resolveInner(offset, -1) ?? null;
  while (node?.parent && !/^(Script|Body)$/.test(node.parent.name)) {
    node = node.parent;
  }
  return node?.parent && !/^(:|Comment|⚠)$/.test(node.name) ? { from: node.from, to: node.to } : null;
}

/** The quote that a call's texts have; else, the first in the source. */
export function quoteOf(source: string, call: ISpan): string {
  const first = (text: string) => /(['"])[^'"]*\1/.exec(text)?.[1];
  return first(source.slice(call.from, call.to)) ?? first(source) ?? "'";
}

// -- reading -----------------------------------------------------------------------------------------------------

interface IParsed {
  tree: Tree;
  text: string;
}

/** Cell magics that are followed by Python. */
const PYTHON_MAGIC = /^%%?(time|timeit|prun|capture|memit|mprun|lprun)\b/;

/** The tree of a source. What disturbs the parser is replaced by something as long. */
function parsed(source: string): IParsed | null {
  const magic = /^\s*(%%[^\n]*)/.exec(source)?.[1];
  if (magic && !PYTHON_MAGIC.test(magic)) {
    return null; // another language
  }
  const plain = withoutBarePoints(source);
  const tree = parser.parse(plain);
  if (!broken(tree.topNode)) {
    return { tree, text: plain };
  }
  const blank = (text: string) => ' '.repeat(text.length);
  const text = plain // without what IPython adds to Python
    .replace(/^[ \t]*(%%?)[^\n]*/gm, line =>
      PYTHON_MAGIC.test(line.trim()) && !line.trim().startsWith('%%')
        ? line.replace(/^[ \t]*%\w+([ \t]+-\w+)*/, blank)
        : blank(line)
    )
    .replace(/^[ \t]*[!?][^\n]*/gm, blank)
    .replace(
      /^([\w.,* \t]+=[ \t]*)([!%][^\n]*)/gm,
      (_, before: string, rest: string) => before + '0'.padEnd(rest.length)
    )
    .replace(/\?+[ \t]*$/gm, blank);
  return { tree: parser.parse(text), text };
}

/** The parser does not know `1.` for a number. */
function withoutBarePoints(source: string): string {
  return source.replace(/(?<![\w.])(\d[\d_]*)\.(?![\w.])/g, (_, digits: string) => `${digits}0`);
}

function broken(node: SyntaxNode): boolean {
  let found = false;
  node.cursor().iterate(({ type }) => {
    found ||= type.isError;
    return !found;
  });
  return found;
}

function expressionOf(text: string): { node: SyntaxNode; source: string } | null {
  const source = `_(a=${text})`; // a comment at its end would swallow what follows
  const tree = parser.parse(withoutBarePoints(source));
  const list = tree.topNode.firstChild?.firstChild?.lastChild;
  if (broken(tree.topNode) || list?.name !== 'ArgList' || list.to !== source.length || list.from !== 1) {
    return null;
  }
  const given = argumentsOf(list, source);
  const node = given?.length === 1 && list.firstChild?.nextSibling?.nextSibling?.nextSibling;
  return node && node.name !== 'Comment' ? { node, source } : null;
}

/** The arguments in a list; null: it is a generator. */
function argumentsOf(list: SyntaxNode, source: string): IArgument[] | null {
  const found: IArgument[] = [];
  let part: SyntaxNode[] = [];
  for (let child = list.firstChild; child; child = child.nextSibling) {
    if (child.name === ',' || child.name === ')') {
      if (part.length) {
        found.push(argument(part, source));
      }
      part = [];
    } else if (child.name === 'for') {
      return null;
    } else if (child.name !== '(' && child.name !== 'Comment') {
      part.push(child);
    }
  }
  if (part.length) {
    found.push(argument(part, source)); // the parenthesis is not closed
  }
  return found;
}

function argument(part: SyntaxNode[], source: string): IArgument {
  const [first, second] = part as [SyntaxNode, SyntaxNode | undefined];
  const value = part.at(-1) ?? first;
  const spread = first.name === '*' || first.name === '**' ? first.name : '';
  const named = second?.name === 'AssignOp' && source.slice(second.from, second.to) === '=';
  const start = spread ? second : named ? part[2] : first;
  return {
    from: first.from,
    to: value.to,
    keyword: named ? source.slice(first.from, first.to) : null,
    spread,
    value: { from: start?.from ?? value.to, to: value.to },
    read: !spread && part.length === (named ? 3 : 1) ? valueOf(value, source) : null
  };
}

/** Goes through a source from the top and keeps track of what names stand for. */
class Reader {
  constructor(
    private source: string,
    private outer: IScope
  ) {
    this.tasks = new Map(outer.tasks);
    this.modules = new Set(outer.modules);
    this.values = new Map(outer.values);
  }

  read({ tree, text }: IParsed): { calls: ICall[]; scope: IScope } {
    this.text = text;
    this.visit(tree.topNode, true);
    const { tasks, modules, values } = this;
    return { calls: this.calls, scope: this.bound ? { ...this.outer, tasks, modules, values } : this.outer };
  }

  /** `binds`: names that are bound here are the notebook's, not a function's own. */
  private visit(node: SyntaxNode, binds: boolean): void {
    if (node.name === 'ImportStatement') {
      if (binds) {
        this.importNames(node);
      }
      return;
    }
    if (node.name === 'CallExpression') {
      this.call(node);
    }
    const inner =
      binds && !/^(FunctionDefinition|ClassDefinition|LambdaExpression|.*Comprehension.*)$/.test(node.name);
    for (let child = node.firstChild; child; child = child.nextSibling) {
      this.visit(child, inner);
    }
    if (binds) {
      this.bindNames(node);
    }
  }

  private call(node: SyntaxNode): void {
    const callee = node.firstChild;
    const list = node.lastChild;
    const task = callee && this.taskOf(callee);
    if (!task || list?.name !== 'ArgList') {
      return;
    }
    const given = argumentsOf(list, this.source);
    const sound = given !== null && !broken(node) && this.source[list.to - 1] === ')';
    this.calls.push({ from: node.from, to: node.to, task, list, arguments: given ?? [], sound });
  }

  /** The task that an expression stands for. */
  private taskOf(node: SyntaxNode): string | undefined {
    const text = this.name(node);
    if (node.name === 'VariableName') {
      return this.tasks.get(text);
    }
    const [module, , name] = children(node);
    if (node.name === 'MemberExpression' && module?.name === 'VariableName' && name) {
      const task = this.name(name);
      return this.modules.has(this.name(module)) && this.outer.known.has(task) ? task : undefined;
    }
    return undefined;
  }

  private importNames(node: SyntaxNode): void {
    const words = children(node).filter(child => !'(),'.includes(child.name) && child.name !== 'Comment');
    const split = words.findIndex(word => word.name === 'import');
    const from = words
      .slice(1, split)
      .map(word => this.name(word))
      .join('');
    for (let i = split + 1; i < words.length; i++) {
      const name = this.name(words[i] as SyntaxNode);
      const renamed = words[i + 1]?.name === 'as';
      const alias = renamed && words[i + 2] ? this.name(words[i + 2] as SyntaxNode) : name;
      i += renamed ? 2 : 0;
      this.bound = true;
      if (name === '*') {
        if (this.outer.packages.has(from)) {
          this.outer.known.forEach(task => this.tasks.set(task, task));
        }
        continue;
      }
      this.forget(alias);
      if (split > 0 && this.outer.packages.has(from) && this.outer.known.has(name)) {
        this.tasks.set(alias, name);
      } else if (split === 0 && this.outer.packages.has(name) && words[i + 1]?.name !== '.') {
        this.modules.add(alias);
      }
    }
  }

  private bindNames(node: SyntaxNode): void {
    const parts = children(node);
    if (node.name === 'AssignStatement' || node.name === 'NamedExpression') {
      const last = parts.at(-1);
      const task = last && parts.at(-2)?.name === 'AssignOp' ? this.taskOf(last) : undefined;
      const module = last?.name === 'VariableName' && this.modules.has(this.name(last));
      const literal = last && parts.at(-2)?.name === 'AssignOp' ? valueOf(last, this.source) : null;
      const end = parts.map(part => part.name).lastIndexOf('AssignOp');
      const alone = !parts.some(part => part.name === ',');
      for (const target of this.targets(parts.slice(0, Math.max(end, 0)))) {
        this.forget(target);
        this.bound = true;
        if (alone && task) {
          this.tasks.set(target, task);
        } else if (alone && module) {
          this.modules.add(target);
        } else if (alone && literal) {
          this.values.set(target, literal.value);
        }
      }
    } else if (node.name === 'FunctionDefinition' || node.name === 'ClassDefinition') {
      const name = parts.find(part => part.name === 'VariableName');
      this.forget(name ? this.name(name) : '');
    } else if (node.name === 'UpdateStatement' || node.name === 'DeleteStatement') {
      this.targets(parts).forEach(name => {
        this.forget(name);
      });
    } else if (node.name === 'ForStatement') {
      const names = parts.slice(
        0,
        parts.findIndex(part => part.name === 'in')
      );
      this.targets(names).forEach(name => {
        this.forget(name);
      });
    } else if (node.name === 'WithStatement' || node.name === 'TryStatement') {
      parts.forEach((part, index) => {
        if (parts[index - 1]?.name === 'as') {
          this.targets([part]).forEach(name => {
            this.forget(name);
          });
        }
      });
    }
  }

  /** The names in what stands at the left of `=`. */
  private targets(parts: readonly SyntaxNode[]): string[] {
    return parts.flatMap(part => {
      if (part.name === 'VariableName') {
        return [this.name(part)];
      }
      return part.name === 'TupleExpression' || part.name === 'ArrayExpression'
        ? this.targets(children(part))
        : [];
    });
  }

  private forget(name: string): void {
    this.bound ||= this.tasks.has(name) || this.modules.has(name) || this.values.has(name);
    this.tasks.delete(name);
    this.modules.delete(name);
    this.values.delete(name);
  }

  private name(node: SyntaxNode): string {
    return this.text.slice(node.from, node.to);
  }

  /** Whether a name stands for something else than before. */
  private bound = false;
  private text = '';
  private calls: ICall[] = [];
  private tasks: Map<string, string>;
  private modules: Set<string>;
  private values: Map<string, Value>;
}

function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) {
    found.push(child);
  }
  return found;
}

// -- writing -----------------------------------------------------------------------------------------------------

/** Where the comma is between two places, comments apart; -1: there is none. */
function commaIn(source: string, from: number, to: number): number {
  const between = source.slice(from, to).replace(/#[^\n]*/g, comment => ' '.repeat(comment.length));
  const place = between.indexOf(',');
  return place < 0 ? -1 : from + place;
}

/** The end of the blanks after a place; `step` -1: their beginning before it. */
function pastBlanks(source: string, place: number, step: 1 | -1 = 1): number {
  const at = (index: number) => source[step > 0 ? index : index - 1];
  while (at(place) === ' ' || at(place) === '\t') {
    place += step;
  }
  return place;
}

const endsLine = (source: string, place: number) =>
  place >= source.length || /[\r\n]/.test(source[place] ?? '');
const startsLine = (source: string, place: number) => place === 0 || source[place - 1] === '\n';

function removals(source: string, call: ICall, going: ReadonlySet<IArgument>): IEdit[] {
  const found: IEdit[] = [];
  const all = call.arguments;
  const cut = (from: number, to: number) => found.push({ from, to, insert: '' });
  all.forEach((argument, index) => {
    if (!going.has(argument)) {
      return;
    }
    const comma = commaIn(source, argument.to, all[index + 1]?.from ?? call.list.to - 1);
    const before = all.slice(0, index).findLast(other => !going.has(other));
    if (comma < 0 && before) {
      const former = commaIn(source, before.to, argument.from);
      const between = source.slice(former + 1, argument.from);
      if (!between.trim() && source[pastBlanks(source, argument.to)] !== '#') {
        cut(former, argument.to); // `a=1, b=2)` becomes `a=1)`
        return;
      }
      cut(former, former + 1);
    }
    // The comma may stand after a comment, which stays.
    const direct = comma >= 0 && !source.slice(argument.to, comma).trim();
    if (comma >= 0 && !direct) {
      cut(comma, comma + 1);
    }
    const end = pastBlanks(source, direct ? comma + 1 : argument.to);
    const start = pastBlanks(source, argument.from, -1);
    if (startsLine(source, start)) {
      if (endsLine(source, end) && end < source.length) {
        cut(start, end + (source.startsWith('\r\n', end) ? 2 : 1)); // it has the line for itself
      } else {
        cut(argument.from, end);
      }
    } else if (endsLine(source, end) || source[end] === '#' || end === call.list.to - 1) {
      cut(start, direct ? comma + 1 : argument.to);
    } else {
      cut(argument.from, end);
    }
  });
  return joined(found);
}

/** Cuts that touch or overlap, as one. */
function joined(cuts: readonly IEdit[]): IEdit[] {
  const found: IEdit[] = [];
  for (const cut of [...cuts].sort((one, other) => one.from - other.from)) {
    const last = found.at(-1);
    if (last && cut.from <= last.to) {
      last.to = Math.max(last.to, cut.to);
    } else {
      found.push({ ...cut });
    }
  }
  return found;
}

function additions(source: string, listStart: number, added: readonly [string, string][]): IEdit[] {
  const list = parsed(source)?.tree.resolveInner(listStart, 1).parent;
  const present = (list?.name === 'ArgList' && argumentsOf(list, source)) || [];
  const last = present.at(-1);
  if (!list || !last) {
    const place = listStart + 1;
    return [{ from: place, to: place, insert: added.map(([name, text]) => `${name}=${text}`).join(', ') }];
  }
  const items = added.map(([name, text]) => `${equals(source, present, name)}${text}`);
  const start = pastBlanks(source, last.from, -1);
  const own = startsLine(source, start); // the last argument begins a line: so shall each new one
  const comma = commaIn(source, last.to, list.to - 1);
  const gap = present.length > 1 && source[last.from - 1] === ',' ? '' : ' ';
  const newline = source[start - 2] === '\r' ? '\r\n' : '\n';
  const separator = own ? newline + source.slice(start, last.from) : gap;
  const text = separator + items.join(`,${separator}`);
  const after = comma < 0 ? last.to : comma + 1;
  let place = after;
  if (own) {
    const rest = /^[ \t]*#[^\r\n]*/.exec(source.slice(after))?.[0]; // a comment belongs to the argument before it
    place += rest?.length ?? 0;
  }
  if (comma >= 0) {
    return [{ from: place, to: place, insert: `${text},` }];
  }
  return place === after
    ? [{ from: after, to: after, insert: `,${text}` }]
    : [
        { from: place, to: place, insert: text },
        { from: after, to: after, insert: ',' }
      ];
}

/** `name=` with the blanks that the other arguments have there. */
function equals(source: string, present: readonly IArgument[], name: string): string {
  const seen = present.flatMap(({ keyword, from, value }) => {
    const between =
      keyword === null ? null : /^([ \t]*)=([ \t]*)$/.exec(source.slice(from + keyword.length, value.from));
    return between && keyword !== null
      ? [
          {
            before: between[1] ?? '',
            after: between[2] ?? '',
            width: keyword.length + (between[1]?.length ?? 0)
          }
        ]
      : [];
  });
  const last = seen.at(-1);
  if (!last) {
    return `${name}=`;
  }
  const column =
    seen.every(({ width }) => width === last.width) && (seen.length > 1 || last.before.length > 1);
  const spaced = last.before && column ? name.padEnd(last.width) : name + last.before;
  return `${spaced}=${last.after}`;
}
