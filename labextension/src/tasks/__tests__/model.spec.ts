import { CasaServerError } from '../../server/client';
import type { IMeasurementSet, ITask, ITaskSummary } from '../../server/types';
import { byCategory, Catalogue, Remembered, search } from '../model';
import { TASK } from './fixtures';

const task = (
  name: string,
  summary = '',
  parameters: string[] = [],
  categories = ['imaging']
): ITaskSummary => ({
  name,
  summary,
  parameters,
  categories,
  package: 'casatasks'
});
const TASKS = [
  task('applycal', 'Apply calibrations solutions to data', ['vis', 'gaintable'], ['calibration']),
  task('bandpass', 'Calculates a bandpass calibration solution', ['vis', 'solint'], ['calibration']),
  task('clearcal', 'Re-initializes the calibration', ['vis'], ['calibration', 'imaging']),
  task('flagdata', 'All-purpose flagging task', ['vis', 'mode'], ['flagging']),
  task(
    'gaincal',
    'Determine temporal gains from calibrator observations',
    ['vis', 'solint'],
    ['calibration']
  ),
  task('tclean', 'Radio Interferometric Image Reconstruction', ['vis', 'niter', 'usemask', 'pbmask']),
  task('odd', '', [], [])
];
const names = (query: string) => search(TASKS, query).map(({ task }) => task.name);

describe('search', () => {
  it('puts names before summaries, and these before parameters', () => {
    expect(names('cal')).toEqual(['gaincal', 'applycal', 'clearcal', 'bandpass']);
    expect(names('bandp')).toEqual(['bandpass']);
    expect(names('flagging')).toEqual(['flagdata']);
    expect(names('solint')).toEqual(['bandpass', 'gaincal']);
  });

  it('finds the letters of a name in order, and says where', () => {
    expect(names('tcl')[0]).toBe('tclean');
    expect(names('gncl')).toEqual(['gaincal']);
    expect(search(TASKS, 'gcal')[0]?.letters).toEqual([0, 4, 5, 6]);
  });

  it('wants each word somewhere', () => {
    expect(names('calib solint').sort()).toEqual(['bandpass', 'gaincal']);
    expect(names('image niter')).toEqual(['tclean']);
    expect(names('image nothing')).toEqual([]);
  });

  it('says in which parameter a word was found', () => {
    expect(search(TASKS, 'mask')[0]?.parameters).toEqual(['usemask', 'pbmask']);
    expect(search(TASKS, 'VIS')[0]?.parameters).toEqual(['vis']);
  });

  it('gives all for nothing, and none for nonsense', () => {
    expect(names('  ')).toHaveLength(TASKS.length);
    expect(names('(.*[')).toEqual([]);
  });
});

it('puts tasks into categories; those without come last', () => {
  expect(byCategory(TASKS).map(({ category, tasks }) => [category, tasks.length])).toEqual([
    ['calibration', 4],
    ['flagging', 1],
    ['imaging', 2],
    ['', 1]
  ]);
});

describe('what is remembered', () => {
  const database = (kept: unknown) => ({
    fetch: jest.fn(() => Promise.resolve(kept as undefined)),
    save: jest.fn<Promise<void>, [string, unknown]>(() => Promise.resolve())
  });

  it('is what was used last, once, and favourites', async () => {
    const db = database({
      favourites: ['split', 3],
      recent: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'],
      folded: 'x'
    });
    const remembered = new Remembered(db);
    remembered.use('early');
    await remembered.load();
    expect(remembered.recent).toEqual(['early', 'a', 'b', 'c', 'd', 'e', 'f', 'g']);
    remembered.wanted = 3;
    expect(remembered.recent).toEqual(['early', 'a', 'b']);
    remembered.use('c');
    remembered.toggleFavourite('tclean');
    remembered.toggleFavourite('split');
    remembered.toggleFolded('imaging');
    expect(remembered.folded('imaging')).toBe(true);
    expect(db.save.mock.lastCall?.[1]).toEqual({
      favourites: ['tclean'],
      recent: ['c', 'early', 'a', 'b', 'd', 'e', 'f', 'g', 'h'],
      folded: ['imaging']
    });
  });

  it('is nothing when there is nothing, or nonsense', async () => {
    for (const kept of [undefined, null, 3, 'x', { recent: {} }]) {
      const remembered = new Remembered(database(kept));
      await remembered.load();
      expect(remembered.recent).toEqual([]);
    }
    const broken = new Remembered({
      fetch: () => Promise.reject(new Error('broken')),
      save: () => Promise.reject(new Error('broken'))
    });
    await broken.load();
    broken.use('a');
    expect(broken.recent).toEqual(['a']);
    await new Remembered(null).load();
  });
});

describe('the catalogue', () => {
  const server = () => ({
    tasks: jest.fn(() => Promise.resolve({ schema: 1 as const, version: '6.7', tasks: TASKS })),
    task: jest.fn<Promise<ITask>, [string, string?]>(name =>
      Promise.reject(new CasaServerError('busy', name))
    ),
    measurementSet: jest.fn<Promise<IMeasurementSet>, []>(() =>
      Promise.reject(new CasaServerError('refused', 'no'))
    )
  });

  it('says what is the matter, and forgets it', async () => {
    const asked = server();
    asked.tasks.mockRejectedValueOnce(new CasaServerError('missing', '404'));
    const catalogue = new Catalogue(asked);
    let changes = 0;
    catalogue.changed.connect(() => changes++);
    await catalogue.load();
    expect([catalogue.trouble?.trouble, catalogue.tasks, catalogue.has('tclean')]).toEqual([
      'missing',
      [],
      false
    ]);
    await catalogue.load();
    expect([catalogue.trouble, catalogue.version, catalogue.has('tclean')]).toEqual([null, '6.7', true]);
    expect(changes).toBe(2);
  });

  it('asks again for what it did not get', async () => {
    const asked = server();
    const catalogue = new Catalogue(asked);
    await expect(catalogue.task('tclean')).rejects.toThrow('tclean');
    await expect(catalogue.task('tclean')).rejects.toThrow('tclean');
    expect(asked.task).toHaveBeenCalledTimes(2);
    expect(await catalogue.measurementSet('n.ipynb', 'a.ms')).toBeNull();
    expect(await catalogue.measurementSet('n.ipynb', 'a.ms')).toBeNull();
    expect(asked.measurementSet).toHaveBeenCalledTimes(2);
    await expect(catalogue.taskAt('tclean', 'nowhere/n.ipynb')).rejects.toThrow('tclean');
    asked.task.mockImplementation((name, path) =>
      path === undefined ? Promise.resolve(TASK) : Promise.reject(new CasaServerError('refused', name))
    );
    expect(await catalogue.taskAt('image', 'nowhere/n.ipynb')).toBe(TASK);
  });

  it('believes for a while what is in a MeasurementSet, but not that there is none', async () => {
    const asked = server();
    const there = { schema: 1 as const, exists: true, rows: 0, fields: [], spws: [], antennas: [] };
    const of = (exists: boolean) =>
      Promise.resolve({ ...there, exists, intents: [], correlations: [], scans: null } as IMeasurementSet);
    const catalogue = new Catalogue(asked);
    asked.measurementSet.mockReturnValueOnce(of(false)).mockReturnValueOnce(of(true));
    expect((await catalogue.measurementSet('n.ipynb', 'a.ms'))?.exists).toBe(false);
    expect((await catalogue.measurementSet('n.ipynb', 'a.ms'))?.exists).toBe(true);
    expect((await catalogue.measurementSet('n.ipynb', 'a.ms'))?.exists).toBe(true);
    expect(asked.measurementSet).toHaveBeenCalledTimes(2);
  });
});
