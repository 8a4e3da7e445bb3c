/** What is said about tasks, in words. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CasaServerError } from '../server/client';
import type { IEffects, IParameter } from '../server/types';
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
      return trans.__('This should be %1.', problem.wanted.map(type => typeText(type, trans)).join(trans.__(' or ')));
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

/** What a task does to data, one sentence for each kind of use. */
export function effectTexts(effects: IEffects, trans: TranslationBundle): string[] {
  const of = (access: string) => effects.uses.filter(use => use.access === access).map(use => use.rule);
  const sentences: [string, (rules: string) => string][] = [
    ['read', rules => trans.__('Reads %1.', rules)],
    ['modify', rules => trans.__('Changes in place %1.', rules)],
    ['continue', rules => trans.__('Goes on from, or begins %1.', rules)],
    ['write', rules => trans.__('Makes %1.', rules)],
    ['may write', rules => trans.__('May make %1.', rules)],
    ['annotate', rules => trans.__('Notes in the history of %1.', rules)]
  ];
  return [
    ...sentences.flatMap(([access, say]) => (of(access).length ? [say(of(access).join(', '))] : [])),
    ...(effects.network ? [trans.__('May ask the network, so it is run each time.')] : []),
    ...(effects.trusted ? [] : [trans.__('What it does to data is not known for sure: it is run each time.')]),
    ...(effects.notes ? [effects.notes] : [])
  ];
}

/** A duration for people. */
export function durationText(seconds: number, trans: TranslationBundle): string {
  if (seconds < 10) {
    return trans.__('%1 s', seconds.toFixed(1));
  }
  if (seconds < 120) {
    return trans.__('%1 s', String(Math.round(seconds)));
  }
  return seconds < 7200
    ? trans.__('%1 min', String(Math.round(seconds / 60)))
    : trans.__('%1 h', (seconds / 3600).toFixed(1));
}
