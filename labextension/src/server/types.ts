/**
 * What the server extension answers, as its contract (`openapi.yaml`) has it; a test compares the two.
 *
 * Times are in seconds, sizes in bytes. All texts are plain text. A server may send more members than are named here.
 */

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Which versions are installed where the server runs. */
export interface IStatus {
  version: string;
  /** Null: not installed. */
  casatasks: string | null;
}

/** Text in pieces; the lines of what is preformatted stay as they are. */
export interface IDocsPiece {
  kind: 'paragraph' | 'preformatted';
  text: string;
}

/** A task, as lists have it. */
export interface ITaskSummary {
  name: string;
  summary: string;
  categories: string[];
  package: string;
  /** Their names. */
  parameters: string[];
}

/** All tasks of the CASA that kernels use; `version` is that of casatasks. */
export interface ITasks {
  schema: 1;
  version: string;
  tasks: ITaskSummary[];
}

/** A parameter of a task. */
export interface IParameter {
  name: string;
  /** CASA's: string, int, double, bool, path, record, variant, their vectors (stringVec), or several joined by `|`. */
  type: string;
  /** Of data that it names: ms, image ...; or empty. */
  kind: string;
  default: Json;
  allowed: Json[];
  /** Of a plain number. */
  units: string;
  summary: string;
  docs: IDocsPiece[];
  subparameter: boolean;
  /** Not shown by `inp`. */
  hidden: boolean;
  /** What it names has to be there. */
  must_exist: boolean;
  keyword_only: boolean;
}

/** When sub-parameters apply, and their defaults then. */
export interface ICondition {
  parameter: string;
  /** False: when the parameter has another value. */
  equals: boolean;
  value: Json;
  defaults: { [name: string]: Json };
}

/** What a task does to the data that some of its parameters name. */
export interface IUse {
  /** `continue`: it goes on from what is there under that name, or begins it. */
  access: 'read' | 'modify' | 'write' | 'may write' | 'continue' | 'annotate';
  /** What, and when. */
  rule: string;
  parameters: string[];
}

/** What a task does to data. */
export interface IEffects {
  /** False: it is watched, and never remembered. */
  trusted: boolean;
  /** Whether it may ask the network. */
  network: boolean;
  notes: string;
  uses: IUse[];
}

/** How long the last runs of a task took in a workspace. */
export interface IDurations {
  /** Restored calls not counted. */
  runs: number;
  /** The median. */
  typical_s: number | null;
  shortest_s: number | null;
  longest_s: number | null;
}

/** A field of a MeasurementSet. */
export interface IField {
  id: number;
  name: string;
}

/** A spectral window; in Hz. */
export interface ISpectralWindow {
  id: number;
  name: string;
  channels: number;
  frequency: number;
  bandwidth: number;
}

/** An antenna. */
export interface IAntenna {
  id: number;
  name: string;
  station: string;
}

/** A scan, with the ids of its fields; times as CASA's selections have them. */
export interface IScan {
  number: number;
  fields: number[];
  begin: string;
  end: string;
}

/** What is in a MeasurementSet or a calibration table. */
export interface IMeasurementSet {
  schema: 1;
  /** False: there is none, and all else is empty. */
  exists: boolean;
  rows: number;
  fields: IField[];
  spws: ISpectralWindow[];
  antennas: IAntenna[];
  intents: string[];
  correlations: string[];
  /** Null: there was no time to read them all. */
  scans: IScan[] | null;
}

/** A task with its parameters and docs. */
export interface ITask {
  schema: 1;
  /** Of casatasks. */
  version: string;
  name: string;
  package: string;
  summary: string;
  categories: string[];
  parameters: IParameter[];
  conditions: ICondition[];
  docs: IDocsPiece[];
  example: IDocsPiece[];
  effects: IEffects;
  /** In the workspace that was asked about. */
  here?: IDurations;
}

/** An output of a cell, as nbformat 4 has it. */
export interface IOutputJson {
  output_type: string;
  [name: string]: unknown;
}

/** A code cell, as it is posted to be planned. */
export interface IPostedCell {
  id: string;
  /** Among all cells of the notebook, from 0. */
  index?: number;
  source: string;
  outputs?: IOutputJson[];
  /** The identity of its outputs, which spares sending them. */
  shown?: string;
}

/** What cells show, to be identified. */
export interface IPostedOutputs {
  id: string;
  outputs: IOutputJson[];
}

/** Identities of what cells show, by their ids. */
export interface IShown {
  schema: 1;
  shown: { [cell: string]: string };
}

/** What a plan says of a cell: see `docs/json.md`. */
export type CellState = 'fresh' | 'stale' | 'restorable' | 'maybe';

/** What kind of reason it is. */
export type ReasonKind =
  | 'edited'
  | 'never-run'
  | 'input'
  | 'file'
  | 'missing'
  | 'order'
  | 'environment'
  | 'overwritten'
  | 'failed'
  | 'upstream'
  | 'needed'
  | 'output'
  | 'lost';

/** Why a cell is not fresh. */
export interface IReason {
  kind: ReasonKind;
  /** The parameter, name, product or task that it is about; may be empty. */
  subject: string;
  /** A sentence for people. */
  message: string;
  /** The id of another cell that is the cause. */
  because_of: string | null;
}

/** A call that a cell is expected to make. */
export interface IPlannedCall {
  task: string;
  /** Null: it cannot be told before it runs, or the call is not remembered. */
  key: string | null;
  /** `none`: its cell does not run. */
  action: 'run' | 'restore' | 'none';
  estimate_s: number;
}

/** A cell's part of a plan. */
export interface ICellPlan {
  id: string;
  index: number;
  state: CellState;
  reasons: IReason[];
  reads: string[];
  writes: string[];
  calls: IPlannedCall[];
  /** 0: it need not run, or never ran. */
  estimate_s: number;
  /** What makes it give another result each time, in words. */
  impure: string[];
  /** Paths outside the workspace that it writes. */
  outside: string[];
}

/** What it takes to make a notebook fresh. */
export interface IPlan {
  schema: 1;
  notebook: string;
  /** Number of the newest recorded cell run of the workspace. */
  revision: number;
  fresh: boolean;
  /** At most this, as cells that wait may turn out unchanged. */
  estimate_s: number;
  /** Products that are brought to the state in which the last cell leaves them. */
  restores: string[];
  /** The code cells that say something, from the top. */
  cells: ICellPlan[];
}

/** What became of a call. */
export type CallAction = 'ran' | 'restored' | 'watched' | 'failed';

/** A call that was made. */
export interface ICall {
  task: string;
  key: string | null;
  action: CallAction;
  seconds: number;
}

/** A call that a run of a cell made. */
export interface IRunCall extends ICall {
  /** CPU time, child processes included; null: it did not run, or nobody knows. */
  cpu_s: number | null;
  /** The most memory that it had at a time. */
  memory_bytes: number | null;
}

/** A call in a graph. */
export interface IGraphCall extends ICall {
  /** What it took when it ran, also if it was restored since. */
  took_s: number;
}

/** A cell in a graph. */
export interface IGraphCell {
  id: string;
  index: number;
  /** Its first line. */
  title: string;
  state: CellState;
  /** What it takes to run it, as it did: restored calls count as they took when they ran. */
  seconds: number;
  impure: string[];
  outside: string[];
  calls: IGraphCall[];
}

/** A data product in a graph. */
export interface IGraphProduct {
  id: string;
  path: string;
  role: 'input' | 'intermediate' | 'final';
}

/** A Python name in a graph. */
export interface IGraphName {
  id: string;
  name: string;
}

/** What a cell does with a product or name. */
export interface IGraphEdge {
  cell: string;
  resource: string;
  kind: 'reads' | 'writes' | 'modifies' | 'deletes';
  version: string;
  /** Of `reads`: the cell that makes it. */
  origin: string | null;
}

/** What depends on what. */
export interface IGraph {
  schema: 1;
  notebook: string;
  revision: number;
  cells: IGraphCell[];
  products: IGraphProduct[];
  names: IGraphName[];
  edges: IGraphEdge[];
}

/** A run of a cell. */
export interface IRunSummary {
  number: number;
  cell: string;
  notebook: string;
  /** ISO 8601. */
  started: string;
  seconds: number;
  outcome: 'ok' | 'error' | 'interrupted';
  error: string | null;
  calls: IRunCall[];
}

/** A cell: why it is stale, and its runs, the newest first. */
export interface ICell {
  schema: 1;
  cell: string;
  /** Null: it is not in the notebook. */
  plan: ICellPlan | null;
  runs: IRunSummary[];
}

/** What a run read. Resources: `n:` a name, `p:` a product, `d:` a listing, `e:` whether something is there. */
export interface IRead {
  resource: string;
  version: string;
  /** The cell that had made it. */
  origin: string | null;
}

/** What a run wrote. */
export interface IWrite {
  resource: string;
  version: string;
  /** Not changed in place. */
  anew: boolean;
}

/** One run of a cell in full. */
export interface IRun {
  schema: 1;
  run: IRunSummary;
  source: string;
  reads: IRead[];
  writes: IWrite[];
  impure: string[];
  outside: string[];
  /** Names whose values could not be kept. */
  unkept: string[];
  environment: { [name: string]: string };
  plan: ICellPlan | null;
}

/** A version of a data product, as lists have it. */
export interface IVersionSummary {
  id: string;
  /** Relative to the workspace; absolute if it is outside. */
  path: string;
  /** That made it; null: raw data, or changed by hand. */
  task: string | null;
  key: string | null;
  bytes: number;
  /** Whether the store holds it. */
  kept: boolean;
  /** Whether it lay at its path when somebody last looked. */
  present: boolean;
  /** Other paths at which it lay then. */
  also: string[];
  /** ISO 8601. */
  created: string;
}

/** Versions of data products, by path and age. */
export interface IVersions {
  schema: 1;
  workspace: string;
  versions: IVersionSummary[];
}

/** The call that made a version. */
export interface IVersionCall {
  task: string;
  key: string;
  arguments: { [name: string]: Json };
  /** Path and version of what it read. */
  inputs: { [path: string]: string };
  /** The same of what it left. */
  outputs: { [path: string]: string };
  seconds: number;
  created: string;
}

/** A version with its call. */
export interface IVersion {
  schema: 1;
  id: string;
  path: string;
  files: number;
  bytes: number;
  kept: boolean;
  /** Null: raw data, changed by hand, or the call was forgotten. */
  call: IVersionCall | null;
}

/** A version was brought to a path. */
export interface IRestored {
  schema: 1;
  version: string;
  path: string;
  /** Whether it was not there already. */
  changed: boolean;
  /** The version that lay there; null: nothing did. */
  former: string | null;
}

/** One of the versions that are compared. */
export interface ISide {
  id: string;
  path: string;
  bytes: number;
}

/** A file that differs, with its sizes. */
export interface IEntry {
  /** Within the product; empty: the product itself. */
  name: string;
  before: number | null;
  after: number | null;
}

/** How many files differ. */
export interface IDifferenceCount {
  added: number;
  removed: number;
  changed: number;
  unsure: number;
}

/** How two versions differ. */
export interface IDifference {
  schema: 1;
  before: ISide;
  after: ISide;
  count: IDifferenceCount;
  added: IEntry[];
  removed: IEntry[];
  changed: IEntry[];
  /** As large as before, but nobody has compared the contents yet. */
  unsure: IEntry[];
}

/** How a store keeps files, and why so. */
export interface IStoreKind {
  kind: 'zfs' | 'reflink' | 'copy';
  reason: string;
}

/** What a store takes. */
export interface IStoreBytes {
  versions: number;
  objects: number;
  on_disk: number;
  /** Of disk that versions may take. */
  budget: number;
  free: number;
  ledger: number;
  logs: number;
}

/** What a workspace's store holds. */
export interface IStore {
  schema: 1;
  workspace: string;
  store: IStoreKind;
  objects: number;
  bytes: IStoreBytes;
  calls: number;
  versions: number;
  restored: number;
  saved_s: number;
  threads: number | null;
}

/** A product's part of what the store holds. */
export interface IProductShare {
  path: string;
  bytes: number;
}

/** What would be stored no more without a version. */
export interface IVersionShare {
  id: string;
  alone: number;
}

/** What of a store belongs to what. */
export interface IShares {
  schema: 1;
  workspace: string;
  /** Of all stored files, each once. */
  bytes: number;
  products: IProductShare[];
  versions: IVersionShare[];
}

/** A number of each of two versions; null: it has no such data. */
export interface IPercentages {
  before: number | null;
  after: number | null;
}

/** A part of the data, and how much of it is flagged. */
export interface IFlagRow extends IPercentages {
  id: number;
  name: string;
}

/** All parts of a kind. */
export interface IFlagGroup {
  by: 'antenna' | 'correlation' | 'field' | 'scan' | 'spw';
  rows: IFlagRow[];
  /** Rows that are not told. */
  omitted: number;
}

/** How much is flagged in two versions, in percent. */
export interface IFlagDifference {
  /** Which part of the data was read. */
  read: number;
  total: IPercentages;
  groups: IFlagGroup[];
}

/** Of pixels that are not masked; null: there are none. */
export interface IPixels {
  minimum: number | null;
  maximum: number | null;
  mean: number | null;
  rms: number | null;
}

/** An image minus another one. */
export interface IPixelDifference extends IPixels {
  /** With its sign. */
  largest: number;
  /** Its pixel, from 0. */
  at: number[];
  /** Which part of the pixels differs at all. */
  differing: number;
}

/** Data URLs of the plane in which two images differ most. */
export interface IImagePictures {
  /** Of the planes, along the axes after the second. */
  places: number[][];
  /** Of the colours. */
  range: number[];
  before: string;
  after: string;
  difference: string | null;
  difference_range: number[] | null;
}

/** How two images differ. */
export interface IImageDifference {
  /** Which part of the pixels was read. */
  read: number;
  unit: string;
  axes: string[];
  shapes: number[][];
  before: IPixels;
  after: IPixels;
  /** Null: their shapes differ. */
  difference: IPixelDifference | null;
  pictures: IImagePictures;
}

/** Data URLs of pictures, or texts. */
export interface IFiles {
  before: string;
  after: string;
}

/** How the data of two versions differ; of data of an other kind nothing is told. */
export interface IDataDifference {
  schema: 1;
  kind: 'flags' | 'image' | 'picture' | 'text' | 'other';
  flags: IFlagDifference | null;
  image: IImageDifference | null;
  files: IFiles | null;
}

/** The tutorial was written, or is there. */
export interface ITutorial {
  schema: 1;
  /** Of its notebook. */
  path: string;
  /** False: a notebook of that name was there. */
  written: boolean;
  /** Files there that are not as the tutorial has them; then nothing was written. */
  changed: string[];
}

/** Versions that may go together. */
export interface ICandidate {
  paths: string[];
  versions: string[];
  task: string;
  /** To compute them again. */
  seconds: number;
  calls: number;
  age_s: number;
  frees: number;
  score: number | null;
  /** Why it stays; empty: it goes. */
  keep: string;
}

/** Which versions go, and why the rest stays. */
export interface ICollection {
  schema: 1;
  workspace: string;
  dry_run: boolean;
  physical: number;
  logical: number;
  goal: number;
  freed: number;
  excess: number;
  orphans: number;
  candidates: ICandidate[];
}

/** The log of a session: of one start of a kernel, or of a script. */
export interface ILogSummary {
  /** `kernels`: that of the tools (not the tasks) of all kernels of the workspace. */
  session: string;
  /** Jupyter's id; null: not known, or it has ended. */
  kernel: string | null;
  /** Its name. */
  notebook: string | null;
  /** Whether the session goes on. */
  alive: boolean;
  size: number;
  /** Unix seconds. */
  changed: number;
  /** Null: it has not been read yet. */
  lines: number | null;
  /** How many lines have which priority; null: it has not been read yet. */
  counts: { [priority: string]: number } | null;
}

/** The logs of a workspace, the one that changed last first. */
export interface ILogs {
  schema: 1;
  logs: ILogSummary[];
}

/** A line of a log; `time`, `priority` and `origin` are empty for text that CASA did not format. */
export interface ILogLine {
  /** From 1 on. */
  number: number;
  /** `YYYY-MM-DD HH:MM:SS`, UTC. */
  time: string;
  /** INFO, WARN, SEVERE, DEBUG1 ... */
  priority: string;
  /** Ends with + where the message of the line before is continued. */
  origin: string;
  message: string;
  /** The number of its call in the session; null: of none, or not known. */
  call: number | null;
  /** The id of the call's cell. */
  cell: string | null;
  /** Where in the line as it stands in the file something is that was to be marked: from one place to before another. */
  marks?: number[][];
}

/** A call that has written into a log. */
export interface ILogCall {
  /** Its number in the session. */
  call: number;
  task: string;
  cell: string | null;
  notebook: string;
  /** Unix seconds. */
  began: number;
  /** Null: it runs, or its kernel died. */
  ended: number | null;
  /** Ran, restored, watched or failed; null: it runs, or its kernel died. */
  action: string | null;
}

/** A call, and which lines are its. */
export interface ILogPart extends ILogCall {
  /** The number of its first line. */
  first: number;
  lines: number;
}

/** What is told of a log with anything that is asked about it. */
export interface ILogState {
  schema: 1;
  session: string;
  /** Another one: the log was replaced, its lines have new numbers. Empty: it has no line yet. */
  generation: string;
  alive: boolean;
  size: number;
  /** Bytes that have been read. */
  indexed: number;
  /** False: it is being read for the first time; ask again. */
  complete: boolean;
  /** Lines that have been read. */
  total: number;
}

/** Lines of a log that were asked for, or found. */
export interface ILogWindow extends ILogState {
  lines: ILogLine[];
  /** To which these lines belong. */
  calls: ILogCall[];
  /** Lines before this one were not looked at; null: there are none. */
  previous: number | null;
  /** Lines from this one on were not looked at; null: there are none. */
  next: number | null;
}

/** Which lines of a log belong to which call. */
export interface ILogCalls extends ILogState {
  calls: ILogPart[];
  /** There may be calls before this one; null: there are none. */
  previous: number | null;
  /** Calls from this one on were left out; null: there are none. */
  next: number | null;
}

/** Which lines of a log are wanted: all that is given has to apply. */
export interface ILogQuery {
  /** The first line to look at; below 0: the last so many. */
  from?: number;
  /** How many, where `from` is not below 0; at most 1000. */
  count?: number;
  /** The first line not to look at. */
  until?: number;
  /** One, or several with commas between them. */
  priority?: string;
  origin?: string;
  call?: number;
  cell?: string;
  /** UTC: 2026-01-31, or with T23:59:59. */
  after?: string;
  before?: string;
  /** In whatever case. */
  text?: string;
  /** As RE2 has them. */
  regex?: string;
  /** An expression: it is told where in the lines it matches. */
  mark?: string;
}

/** Why it was refused: a sentence for people. */
export interface IRefusal {
  message: string;
  reason?: string | null;
}

/** The call that a kernel runs. */
export interface IRunningCall {
  task: string;
  /** Why it is not restored. */
  reason: string;
  /** Unix seconds. */
  began: number;
  /** Null: it never ran before. */
  expected_s: number | null;
  stage: string;
  /** Who has the workspace. */
  waiting_for: string | null;
  elapsed_s: number;
  /** Whether its process is there, to be ended. */
  killable: boolean;
}

/** A kernel `casa` of the server, and what it does. */
export interface IKernel {
  /** Jupyter's. */
  id: string;
  name: string;
  /** Jupyter's: starting, idle, busy ... */
  state: string;
  last_activity: string;
  connections: number;
  /** Relative to the server's root. */
  notebook: string | null;
  workspace: string | null;
  pid: number | null;
  /** Null: it has opened no workspace yet, and has nothing to tell of what follows. */
  session: string | null;
  started: number | null;
  /** The id of the cell that it runs. */
  cell: string | null;
  log: string | null;
  display: boolean;
  /** Number of its last event. */
  revision: number;
  call: IRunningCall | null;
}

/** The process of a kernel's call was ended. */
export interface IKilled {
  /** Of the kernel. */
  id: string;
  task: string;
}

/** A window of a graphical task; places are in pixels. */
export interface IWindow {
  id: number;
  title: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The windows on a kernel's display. */
export interface IWindows {
  windows: IWindow[];
}

/** The kernels of the server. */
export interface IKernels {
  kernels: IKernel[];
}

/** A call, as events tell it. */
export interface ICallNow {
  task: string;
  reason: string;
  /** Unix seconds. */
  began: number;
  /** Null: it never ran before. */
  expected_s: number | null;
  stage: string;
  /** When it was told; count on from there. */
  elapsed_s: number;
  /** Who has the workspace. */
  waiting_for: string | null;
}

/** What a kernel or script does, as all events together have left it. */
export interface ISessionNow {
  /** Directory, relative to the server's root. */
  workspace: string;
  /** Jupyter's id; empty: none of a server's. */
  kernel: string;
  session: string;
  /** As the kernel knows it. */
  notebook: string;
  cell: string | null;
  call: ICallNow | null;
  display: boolean;
  log: string;
  /** Unix seconds. */
  started: number;
}

/** What all events have in common. */
export interface IEvent {
  /** Another one after each start of the server. */
  epoch: string;
  /** Numbers the events, without a gap. */
  revision: number;
  /** Unix seconds. */
  time: number;
  workspace: string;
  /** Jupyter's id; empty: none of a server's, or none alone. */
  kernel: string;
  session: string;
}

/** A kernel or script has opened a workspace, has ended, or is not as was told. */
export interface IKernelEvent extends IEvent, Omit<ISessionNow, 'workspace' | 'kernel' | 'session'> {
  action: 'started' | 'changed' | 'ended';
  missed: number;
}

/** A kernel begins or ends a cell. */
export interface ICellEvent extends IEvent {
  action: 'started' | 'ended';
  notebook: string;
  cell: string | null;
  /** ok, error or interrupted, when it has ended. */
  outcome: string | null;
  /** Number of its run, when it has ended and is recorded; else 0. */
  run: number;
}

/** What has become of a call. */
export interface ICallResult {
  action: CallAction;
  seconds: number;
  saved_s: number;
  cpu_s: number | null;
  memory_bytes: number | null;
  products: string[];
  error: string | null;
}

/** A task begins, goes on, or ends. */
export interface ICallEvent extends IEvent, ICallNow {
  action: 'started' | 'progressed' | 'ended';
  notebook: string;
  cell: string | null;
  result?: ICallResult;
}

/** What events tell of a cell. */
export interface ICellNews {
  id: string;
  index: number;
  state: CellState;
  estimate_s: number;
  reasons: IReason[];
}

/** Of some cells of a notebook something else is true than was told last. */
export interface ICellsEvent extends IEvent {
  /** Of the notebook. */
  path: string;
  fresh: boolean;
  estimate_s: number;
  /** Somebody posted its cells, a kernel has run something, a file is not as it was. */
  because: 'asked' | 'recorded' | 'disk';
  /** Nothing more is told until somebody asks. */
  closed: boolean;
  cells: ICellNews[];
  gone: string[];
}

/** A data product was kept, brought back, or changed by somebody else. */
export interface IProductEvent extends IEvent {
  action: 'captured' | 'restored' | 'changed-outside';
  path: string;
  version: string;
}

/** Lines of a CASA log. */
export interface ILogEvent extends IEvent {
  /** Number of the first of these lines. */
  first: number;
  lines: ILogLine[];
  total: number;
  /** New lines that are not among these. */
  skipped: number;
}

/** What is nearly full. */
export interface INearLimit {
  what: 'disk' | 'budget';
  used: number;
  limit: number;
  message: string;
}

/** A store is nearly full, or is so no longer. */
export interface IStoreEvent extends IEvent {
  near: INearLimit[];
}

/** Of a notebook that was planned, as all events together have left it. */
export interface INotebookNow {
  workspace: string;
  path: string;
  fresh: boolean;
  estimate_s: number;
  cells: ICellNews[];
}

/** How many lines a log has. */
export interface ILogNow {
  workspace: string;
  kernel: string;
  session: string;
  total: number;
}

/** A store of which something is nearly full. */
export interface IStoreNow {
  workspace: string;
  near: INearLimit[];
}

/** What is so now. */
export interface IPresent {
  kernels: ISessionNow[];
  notebooks: INotebookNow[];
  logs: ILogNow[];
  stores: IStoreNow[];
}

/** An event, with the id of its schema. */
export interface ITaggedEvent extends IEvent {
  schema_id: string;
}

/** What has happened since a revision, or what is so now: one of both is null. */
export interface IChanges {
  schema: 1;
  epoch: string;
  revision: number;
  events: ITaggedEvent[] | null;
  state: IPresent | null;
}

/** What is to be done about a cell, in a walk through a notebook. */
export interface IWalkStep {
  /** Its id. */
  cell: string | null;
  index: number | null;
  /**
   * `keep`: nothing; `restore`: it shows `outputs`; `execute`: with `state`; `settle`: the end, one silent request with
   * `state`.
   */
  action: 'keep' | 'restore' | 'execute' | 'settle';
  reasons: IReason[];
  estimate_s: number;
  /** For the kernel alone: `metadata.casa.state` of the request. */
  state: { [name: string]: Json } | null;
  outputs: IOutputJson[] | null;
}

/** The end of a walk. */
export interface IWalkDone {
  /** The cell that did. */
  failed: string | null;
  /** Products that were brought to their last versions. */
  changed: string[];
  /** What cells took when they ran which did not run now. */
  saved_s: number;
}

/** What to do next in a walk. */
export interface IWalk {
  schema: 1;
  id: string;
  notebook: string;
  /** In the first answer. */
  plan: IPlan | null;
  /** To be taken in this order; of the last one, if it is executed, it is said how it went. */
  steps: IWalkStep[];
  /** The cell that was reported could not begin: it is to show what it did before, and will come again. */
  refused: boolean;
  done: IWalkDone | null;
}

/** How to walk. */
export interface IWalkRequest {
  cells: IPostedCell[];
  /** Jupyter's id of the kernel. */
  kernel?: string | null;
  /** The last cell that is to be made fresh. */
  to?: string | null;
  /** Execute every cell. */
  everything?: boolean;
}

/** How a step of a walk went. */
export interface IStepReport {
  /** The cells, if they are others by now. */
  cells?: IPostedCell[];
  ok?: boolean | null;
  /** No other cell. */
  stop?: boolean;
}

/** A walk was told to stop after the call that runs. */
export interface IWalkStopping {
  schema: 1;
  id: string;
  notebook: string;
  /** The cell that the kernel executes. */
  running: string | null;
}

/** A walk was given up. */
export interface IWalkEnded {
  schema: 1;
  id: string;
  ended: boolean;
}
