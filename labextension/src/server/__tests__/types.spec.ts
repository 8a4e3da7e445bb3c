/** The interfaces of `types.ts` are those of the server's contract. */
import { readFileSync } from 'fs';
import { join } from 'path';
import { load } from 'js-yaml';
import ts from 'typescript';

const ROOT = join(__dirname, '../../../..');
const REST = join(ROOT, 'python/jupyterlab_casa/rest');

interface ISchema {
  oneOf?: ISchema[];
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  required?: string[];
  properties?: Record<string, ISchema>;
  additionalProperties?: ISchema | boolean;
  items?: ISchema;
  parameters?: { in?: string; name?: string; schema?: ISchema }[];
}

const document = load(readFileSync(join(REST, 'openapi.yaml'), 'utf8')) as ISchema;

/** The part of the contract at a path; names of which there is one only (`200`, `application/json`) may be left out. */
function at(...path: string[]): ISchema {
  let part: unknown = document;
  for (const name of path) {
    part = (part as Record<string, unknown>)[name];
    if (part === undefined) {
      throw new Error(`the contract has no ${path.join(' ')}`);
    }
  }
  return part as ISchema;
}
const json = ['content', 'application/json', 'schema'];
const answer = (route: string, method = 'get') => at('paths', route, method, 'responses', '200', ...json);
const asked = (route: string) => at('paths', route, 'post', 'requestBody', ...json);
/** What may be asked for in an address, but for the workspace. */
const query = (route: string): ISchema => {
  const given = at('paths', route, 'get').parameters ?? [];
  return {
    type: 'object',
    properties: Object.fromEntries(
      given.flatMap(({ in: where, name, schema }) =>
        where === 'query' && name && schema ? [[name, schema]] : []
      )
    )
  };
};
const member = (schema: ISchema, ...names: string[]): ISchema =>
  names.reduce((part, name) => {
    const { properties, items } = resolve(part);
    const found = name === '[]' ? items : properties?.[name];
    if (!found) {
      throw new Error(`no ${name}`);
    }
    return found;
  }, schema);

function resolve(schema: ISchema): ISchema {
  if (schema.$ref === undefined) {
    return schema;
  }
  if (schema.$ref.startsWith('#/')) {
    return resolve(at(...schema.$ref.slice(2).split('/')));
  }
  return JSON.parse(readFileSync(join(REST, schema.$ref), 'utf8')) as ISchema;
}

const cells = at('components', 'requestBodies', 'Cells', ...json);
const plan = answer('/plan', 'post');
const graph = answer('/graph', 'post');
const version = answer('/versions/{version}');
const store = answer('/store');
const data = answer('/compare/data');
const schemas = (name: string) => at('components', 'schemas', name);
const changes = answer('/changes');
const walk = at('components', 'responses', 'Walk', ...json);
const event = (name: string) => load(readFileSync(join(REST, `../events/${name}.yaml`), 'utf8')) as ISchema;
const CONTRACT: Record<string, ISchema> = {
  IStatus: answer('/status'),
  ITasks: answer('/tasks'),
  ITaskSummary: member(answer('/tasks'), 'tasks', '[]'),
  ITask: schemas('Task'),
  IParameter: member(schemas('Task'), 'parameters', '[]'),
  ICondition: member(schemas('Task'), 'conditions', '[]'),
  IEffects: member(schemas('Task'), 'effects'),
  IUse: member(schemas('Task'), 'effects', 'uses', '[]'),
  IDurations: member(schemas('Task'), 'here'),
  IMeasurementSet: schemas('MeasurementSet'),
  IField: member(schemas('MeasurementSet'), 'fields', '[]'),
  ISpectralWindow: member(schemas('MeasurementSet'), 'spws', '[]'),
  IAntenna: member(schemas('MeasurementSet'), 'antennas', '[]'),
  IScan: member(schemas('MeasurementSet'), 'scans', '[]'),
  IDocsPiece: member(schemas('Docs'), '[]'),
  IPostedCell: member(cells, 'cells', '[]'),
  IPostedOutputs: member(asked('/outputs'), 'cells', '[]'),
  IShown: answer('/outputs', 'post'),
  IPlan: plan,
  IReason: member(plan, 'cells', '[]', 'reasons', '[]'),
  IPlannedCall: member(plan, 'cells', '[]', 'calls', '[]'),
  ICellPlan: member(plan, 'cells', '[]'),
  IGraph: graph,
  IGraphCell: member(graph, 'cells', '[]'),
  IGraphCall: member(graph, 'cells', '[]', 'calls', '[]'),
  IGraphProduct: member(graph, 'products', '[]'),
  IGraphName: member(graph, 'names', '[]'),
  IGraphEdge: member(graph, 'edges', '[]'),
  ICell: answer('/cells/{cell}'),
  IRunSummary: schemas('RunSummary'),
  IRun: schemas('Run'),
  IRead: member(schemas('Run'), 'reads', '[]'),
  IWrite: member(schemas('Run'), 'writes', '[]'),
  IVersions: answer('/versions'),
  IVersionSummary: member(answer('/versions'), 'versions', '[]'),
  IVersion: version,
  IVersionCall: member(version, 'call'),
  IRestored: answer('/versions/{version}/restore', 'post'),
  IDifference: answer('/compare'),
  IDifferenceCount: member(answer('/compare'), 'count'),
  ISide: schemas('Side'),
  IEntry: member(schemas('Entries'), '[]'),
  IStore: store,
  IStoreKind: member(store, 'store'),
  IStoreBytes: member(store, 'bytes'),
  IShares: answer('/store/shares'),
  IProductShare: member(answer('/store/shares'), 'products', '[]'),
  IVersionShare: member(answer('/store/shares'), 'versions', '[]'),
  IDataDifference: data,
  IFlagDifference: member(data, 'flags'),
  IFlagGroup: member(data, 'flags', 'groups', '[]'),
  IFlagRow: member(data, 'flags', 'groups', '[]', 'rows', '[]'),
  IPercentages: schemas('Percentages'),
  IImageDifference: member(data, 'image'),
  IPixels: schemas('Pixels'),
  IPixelDifference: member(data, 'image', 'difference'),
  IImagePictures: member(data, 'image', 'pictures'),
  IFiles: member(data, 'files'),
  ITutorial: answer('/tutorial', 'post'),
  ICollection: schemas('Collection'),
  ICandidate: member(schemas('Collection'), 'candidates', '[]'),
  IRefusal: schemas('Error'),
  IRunCall: member(schemas('RunSummary'), 'calls', '[]'),
  ILogs: answer('/logs'),
  ILogSummary: member(answer('/logs'), 'logs', '[]'),
  ILogWindow: answer('/logs/{session}'),
  ILogLine: schemas('LogLine'),
  ILogCall: schemas('LogCall'),
  ILogCalls: answer('/logs/{session}/calls'),
  ILogPart: member(schemas('LogCalls'), 'calls', '[]'),
  ILogQuery: query('/logs/{session}'),
  IKernels: answer('/kernels'),
  IKernel: schemas('Kernel'),
  IRunningCall: schemas('Call'),
  IKilled: answer('/kernels/{kernel}/kill-call', 'post'),
  IWindows: answer('/kernels/{kernel}/windows'),
  IWindow: member(answer('/kernels/{kernel}/windows'), 'windows', '[]'),
  IChanges: changes,
  IPresent: member(changes, 'state'),
  ISessionNow: member(changes, 'state', 'kernels', '[]'),
  ICallNow: member(changes, 'state', 'kernels', '[]', 'call'),
  INotebookNow: member(changes, 'state', 'notebooks', '[]'),
  ICellNews: member(changes, 'state', 'notebooks', '[]', 'cells', '[]'),
  ILogNow: member(changes, 'state', 'logs', '[]'),
  IStoreNow: member(changes, 'state', 'stores', '[]'),
  IKernelEvent: event('kernel'),
  ICellEvent: event('cell'),
  ICallEvent: event('call'),
  ICallResult: member(event('call'), 'result'),
  ICellsEvent: event('cells'),
  IProductEvent: event('product'),
  ILogEvent: event('log'),
  IStoreEvent: event('store'),
  INearLimit: member(event('store'), 'near', '[]'),
  IWalk: walk,
  IWalkStep: schemas('WalkStep'),
  IWalkDone: member(walk, 'done'),
  IWalkRequest: asked('/walks'),
  IStepReport: asked('/walks/{walk}/step'),
  IWalkStopping: answer('/walks/{walk}/stop', 'post'),
  IWalkEnded: answer('/walks/{walk}', 'delete')
};

const file = join(__dirname, '../types.ts');
const program = ts.createProgram([file], { strict: true, lib: ['lib.es2020.d.ts'] });
const checker = program.getTypeChecker();
const interfaces = new Map<string, ts.InterfaceDeclaration>();
program.getSourceFile(file)?.forEachChild(node => {
  if (ts.isInterfaceDeclaration(node)) {
    interfaces.set(node.name.text, node);
  }
});

/** In a word: `number`, `string?` (or null), `[string]`, `{string}` (any names), `"a" | "b"`, `object`, `any`. */
function ofType(type: ts.Type): string {
  if (type.isUnion()) {
    const parts = type.types.filter(part => !(part.flags & (ts.TypeFlags.Null | ts.TypeFlags.Undefined)));
    const nullable = type.types.some(part => part.flags & ts.TypeFlags.Null);
    if (type.aliasSymbol?.name === 'Json') {
      return 'any';
    }
    const words = new Set(
      parts.map(part => (part.flags & ts.TypeFlags.BooleanLike ? 'boolean' : ofType(part)))
    );
    return `${[...words].sort().join(' | ')}${nullable ? '?' : ''}`;
  }
  if (type.isStringLiteral() || type.isNumberLiteral()) {
    return JSON.stringify(type.value);
  }
  if (checker.isArrayType(type)) {
    const [item] = checker.getTypeArguments(type as ts.TypeReference);
    return `[${item ? ofType(item) : ''}]`;
  }
  const index = type.getStringIndexType();
  if (index && type.getProperties().length === 0) {
    return `{${ofType(index)}}`;
  }
  return type.flags & ts.TypeFlags.Object ? 'object' : checker.typeToString(type);
}

function ofSchema(given: ISchema): string {
  const schema = resolve(given);
  if (schema.oneOf) {
    const [one, none] = schema.oneOf;
    if (!one || none?.type !== 'null') {
      throw new Error('of several schemas, the second one is to be null');
    }
    return `${ofSchema(one)}?`;
  }
  const types = [schema.type ?? []].flat();
  const nullable = types.includes('null') ? '?' : '';
  if (schema.const !== undefined || schema.enum) {
    return [schema.const ?? schema.enum]
      .flat()
      .map(value => JSON.stringify(value))
      .sort()
      .join(' | ');
  }
  const words = types
    .filter(type => type !== 'null')
    .map(type => {
      if (type === 'array') {
        return `[${schema.items ? ofSchema(schema.items) : 'any'}]`;
      }
      if (type === 'object' && !schema.properties && !schema.required) {
        const { additionalProperties: others } = schema;
        return `{${typeof others === 'object' ? ofSchema(others) : 'any'}}`;
      }
      return type === 'integer' ? 'number' : type;
    });
  return `${words.sort().join(' | ') || 'any'}${nullable}`;
}

it.each(Object.entries(CONTRACT))('%s', (name, given) => {
  const node = interfaces.get(name);
  if (!node) {
    throw new Error(`types.ts has no ${name}`);
  }
  const schema = resolve(given);
  const required = new Set(schema.required);
  const contract = Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([key, value]) => [
      required.has(key) ? key : `${key}?`,
      ofSchema(value)
    ])
  );
  const type = checker.getTypeAtLocation(node);
  const types = Object.fromEntries(
    type
      .getProperties()
      .map(property => [
        `${property.name}${property.flags & ts.SymbolFlags.Optional ? '?' : ''}`,
        ofType(checker.getTypeOfSymbol(property))
      ])
  );
  // Where the contract leaves the inside of an object open, ours may say more.
  for (const [key, word] of Object.entries(contract)) {
    if (word.includes('{any}') && types[key]?.includes('object')) {
      contract[key] = types[key];
    }
  }
  expect(types).toEqual(contract);
});

it('has nothing that is not in the contract', () => {
  const inner = ['IOutputJson', 'ICall', 'IEvent', 'ITaggedEvent', 'ILogState']; // what answers, and events, have in common
  expect([...interfaces.keys()].filter(name => !(name in CONTRACT) && !inner.includes(name))).toEqual([]);
});
