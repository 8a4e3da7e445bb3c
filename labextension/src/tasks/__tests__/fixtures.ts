/** What the tests of tasks share. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IParameter, ITask } from '../../server/types';

/** Says everything as it is written. */
export const trans = {
  __: (text: string, ...values: unknown[]) =>
    text.replace(/%(\d)/g, (_, n: string) => String(values[Number(n) - 1])),
  _n: (one: string, many: string, n: number, ...values: unknown[]) =>
    (n === 1 ? one : many).replace(/%(\d)/g, (_, at: string) => String(values[Number(at) - 1]))
} as unknown as TranslationBundle;

/** A parameter that is like others but in this. */
export const parameter = (name: string, type: string, of: Partial<IParameter> = {}): IParameter => ({
  name,
  type,
  kind: '',
  default: type.startsWith('bool')
    ? false
    : type === 'int'
      ? 0
      : type === 'double'
        ? 1
        : type.includes('Vec')
          ? []
          : '',
  allowed: [],
  units: '',
  summary: `the ${name}`,
  docs: [],
  subparameter: false,
  hidden: false,
  must_exist: false,
  keyword_only: false,
  ...of
});

/** A task made up for tests, with all kinds of parameters. */
export const TASK: ITask = {
  schema: 1,
  version: '6',
  name: 'image',
  package: 'casatasks',
  summary: 'Makes <b>images</b>',
  categories: ['imaging'],
  parameters: [
    parameter('vis', 'path|pathVec', { default: '', kind: 'ms', must_exist: true }),
    parameter('field', 'string'),
    parameter('outname', 'string'),
    parameter('mode', 'string', { default: 'a', allowed: ['a', 'b', 'c'] }),
    parameter('wide', 'string', { subparameter: true, allowed: ['x', 'y'] }),
    parameter('deep', 'int', { subparameter: true }),
    parameter('niter', 'int'),
    parameter('gain', 'double', { default: 0.1, units: 'Jy' }),
    parameter('cell', 'string|stringVec', { default: [] }),
    parameter('interactive', 'bool'),
    parameter('secret', 'int', { hidden: true }),
    parameter('extra', 'variant', { keyword_only: true })
  ],
  conditions: [
    { parameter: 'mode', equals: true, value: 'b', defaults: { wide: 'x' } },
    { parameter: 'mode', equals: true, value: 'c', defaults: {} },
    { parameter: 'wide', equals: false, value: '', defaults: { deep: 3 } }
  ],
  docs: [
    { kind: 'paragraph', text: 'It <script>alert(1)</script> makes.' },
    { kind: 'preformatted', text: 'a   b\nc   <d>' }
  ],
  example: [
    {
      kind: 'preformatted',
      text: "Say:  image(vis='a.ms', niter=5)\n\n image(vis='b',\n    field='1') # c\n image(\n"
    },
    { kind: 'paragraph', text: 'or reimage(vis=1) or image() alone, or image(...)' }
  ],
  effects: {
    trusted: true,
    network: false,
    notes: '',
    uses: [
      { access: 'read', rule: 'vis', parameters: ['vis'] },
      { access: 'continue', rule: '{outname}<clean> if niter > 0', parameters: ['outname'] }
    ]
  }
};
