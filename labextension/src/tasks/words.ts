/** What is said about tasks, in words. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CasaServerError } from '../server/client';
import type { IEffects, IParameter, IUse } from '../server/types';
import { pythonOf } from './form/literal';
import type { Problem } from './form/model';

/** Why the server gives no answer, and what can be done. */
export function troubleText(trouble: CasaServerError, trans: TranslationBundle): string {
  switch (trouble.trouble) {
    case 'offline':
      return trans.__('The server cannot be reached.');
    case 'missing':
      return trans.__('The server has no JupyterLab-CASA: install it there, or enable its server extension.');
    case 'busy':
      return trans.__('The server has too much to do.');
    default:
      return trouble.message;
  }
}

/** What is wrong with a value. */
export function problemText(problem: Problem, trans: TranslationBundle): string {
  switch (problem.kind) {
    case 'python':
      return trans.__('This is no Python expression.');
    case 'type':
      return trans.__(
        'This should be %1.',
        problem.wanted.map(type => typeText(type, trans)).join(trans.__(' or '))
      );
    case 'allowed':
      return trans.__('Possible are %1.', problem.allowed.map(value => pythonOf(value)).join(', '));
  }
}

/** A type of CASA's. */
export function typeText(type: string, trans: TranslationBundle): string {
  const vector = type.endsWith('Vec') || type.endsWith('Array');
  switch (type.replace(/(Vec|Array)$/, '')) {
    case 'string':
      return vector ? trans.__('a list of texts') : trans.__('a text');
    case 'path':
      return vector ? trans.__('a list of paths') : trans.__('a path');
    case 'int':
      return vector ? trans.__('a list of whole numbers') : trans.__('a whole number');
    case 'double':
    case 'float':
      return vector ? trans.__('a list of numbers') : trans.__('a number');
    case 'bool':
      return vector ? trans.__('a list of True and False') : trans.__('True or False');
    case 'record':
      return trans.__('a dictionary');
    default:
      return trans.__('any value');
  }
}

/** The types of a parameter, with its unit. */
export function typesText(parameter: IParameter, trans: TranslationBundle): string {
  const types = parameter.type
    .split('|')
    .map(type => typeText(type, trans))
    .join(', ');
  return parameter.units ? `${types} (${parameter.units})` : types;
}

/**
 * What a task does to data, in sentences.
 *
 * @param brief - Without conditions, and without notes.
 */
export function effectTexts(effects: IEffects, trans: TranslationBundle, brief = false): string[] {
  const say: Record<IUse['access'], (data: string) => string> = {
    read: data => trans.__('Reads %1.', data),
    modify: data => trans.__('Changes %1 in place.', data),
    continue: data => trans.__('Goes on from %1, or begins it.', data),
    write: data => trans.__('Makes %1.', data),
    'may write': data => trans.__('May make %1.', data),
    annotate: data => trans.__('Adds to the history of %1.', data)
  };
  const groups = new Map<string, { access: IUse['access']; condition: string; data: Set<string> }>();
  for (const { access, rule, parameters } of effects.uses) {
    const [target = '', condition = ''] = brief ? [] : rule.split(/ if (.*)/s);
    const key = `${access} ${condition}`;
    const group = groups.get(key) ?? { access, condition, data: new Set<string>() };
    groups.set(key, group);
    (brief ? parameters : [targetText(target, trans)]).forEach(one => group.data.add(one));
  }
  const texts = Array.from(groups.values(), ({ access, condition, data }) => {
    const text = say[access](Array.from(data).join(', '));
    return condition ? trans.__('If %1: %2', condition, text) : text;
  });
  return [
    ...texts,
    ...(effects.network ? [trans.__('May ask the network, so it is run each time.')] : []),
    ...(effects.trusted
      ? []
      : [trans.__('What it does to data is not known for sure: it is run each time.')]),
    ...(effects.notes && !brief ? [effects.notes] : [])
  ];
}

/** What a rule of the effects table is about. */
function targetText(target: string, trans: TranslationBundle): string {
  const [, form, name = ''] = /^(named|lel|file|glob)\((\w+)\)$/.exec(target) ?? [];
  if (form) {
    return form === 'glob' ? trans.__('what fits %1', name) : trans.__('what %1 names', name);
  }
  return target.replace(/<\w+>/g, '.*').replace(/\{(\w+)(:\w+)?\}/g, '$1');
}
