/** What the tests of data products share. */
import type { IShares, IStore, IVersion, IVersions, IVersionSummary } from '../../server/types';

/** A version that is like others but in this. */
export const version = (id: string, path: string, of: Partial<IVersionSummary> = {}): IVersionSummary => ({
  id,
  path,
  task: 'flagdata',
  key: `key-${id}`,
  bytes: 1_000_000,
  kept: true,
  present: false,
  also: [],
  created: '2026-11-23T07:00:00+00:00',
  ...of
});

export const ROWS: IVersionSummary[] = [
  version('i1', 'a.image', { task: 'tclean' }),
  version('m1', 'a.ms', { task: 'importuvfits' }),
  version('m2', 'a.ms'),
  version('m3', 'a.ms', { task: 'applycal', present: true }),
  version('r1', 'raw.fits', { task: null, key: null, kept: false, present: true })
];

export const versions = (rows = ROWS): IVersions => ({ schema: 1, workspace: '/srv/work', versions: rows });

export const SHARES: IShares = {
  schema: 1,
  workspace: '/srv/work',
  bytes: 4_000_000,
  products: [
    { path: 'a.ms', bytes: 3_000_000 },
    { path: 'a.image', bytes: 1_000_000 }
  ],
  versions: [
    { id: 'i1', alone: 1_000_000 },
    { id: 'm1', alone: 0 },
    { id: 'm2', alone: 200_000 },
    { id: 'm3', alone: 800_000 }
  ]
};

export const STORE: IStore = {
  schema: 1,
  workspace: '/srv/work',
  store: { kind: 'reflink', reason: 'this file system shares blocks' },
  objects: 20,
  bytes: {
    versions: 9_000_000,
    objects: 4_000_000,
    on_disk: 3_500_000,
    budget: 7_000_000,
    free: 10,
    ledger: 1,
    logs: 1
  },
  calls: 3,
  versions: 5,
  restored: 2,
  saved_s: 12.34,
  threads: null
};

export const call = (
  task: string,
  given: IVersion['call'] extends infer C ? Partial<NonNullable<C>> : never = {}
) => ({
  task,
  key: 'k',
  arguments: {},
  inputs: {},
  outputs: {},
  seconds: 3,
  created: '2026-11-23T07:00:00+00:00',
  ...given
});

export const made = (id: string, of: Partial<IVersion> = {}): IVersion => ({
  schema: 1,
  id,
  path: 'a.image',
  files: 5,
  bytes: 1_000_000,
  kept: true,
  call: null,
  ...of
});
