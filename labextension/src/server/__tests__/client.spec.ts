/** @jest-environment node */
import { ServerConnection } from '@jupyterlab/services';
import { CasaServer, CasaServerError } from '../client';

/** A client whose server answers this to everything. */
function against(answer: () => Promise<Response>) {
  const fetch = jest.fn<Promise<Response>, [Request]>(answer);
  const settings = ServerConnection.makeSettings({
    baseUrl: 'http://there/user/a%40b/',
    token: 't0',
    init: { cache: 'default' }, // else each address gets a number
    fetch: fetch as unknown as ServerConnection.ISettings['fetch']
  });
  const asked = () => {
    const request = fetch.mock.lastCall?.[0];
    if (!request) {
      throw new Error('nothing was asked');
    }
    return request;
  };
  return { server: new CasaServer(settings), asked };
}

const says = (status: number, body: unknown) => () =>
  Promise.resolve(new Response(typeof body === 'string' ? body : JSON.stringify(body), { status }));

const trouble = (asking: Promise<unknown>) =>
  asking.then(
    () => 'none',
    (error: unknown) => (error instanceof CasaServerError ? [error.trouble, error.message] : error)
  );

it('asks below the base URL, with the token', async () => {
  const { server, asked } = against(says(200, { version: '0.1.0', casatasks: null }));
  expect(await server.status()).toEqual({ version: '0.1.0', casatasks: null });
  expect(asked().url).toBe('http://there/user/a%40b/jupyterlab-casa/api/status');
  expect(asked().headers.get('Authorization')).toBe('token t0');
  expect(asked().method).toBe('GET');
});

it('encodes names and paths', async () => {
  const { server, asked } = against(says(200, {}));
  await server.version('c-1/2?&', 'täglich/a b&c.ipynb');
  const url = new URL(asked().url);
  expect(url.pathname).toMatch(/\/versions\/c-1%2F2%3F%26$/);
  expect(url.searchParams.get('path')).toBe('täglich/a b&c.ipynb');
  await server.versions('w');
  expect([...new URL(asked().url).searchParams.keys()]).toEqual(['path']);
});

it('posts the cells of a notebook', async () => {
  const { server, asked } = against(says(200, { cells: [] }));
  await server.plan('n.ipynb', [{ id: 'a', source: 'x = 1', shown: '' }]);
  expect(asked().method).toBe('POST');
  expect(await asked().json()).toEqual({ cells: [{ id: 'a', source: 'x = 1', shown: '' }] });
});

it('tells troubles apart', async () => {
  const refusal = { message: 'a kernel has it', reason: null };
  expect(await trouble(against(says(409, refusal)).server.restore('v', 'w'))).toEqual([
    'refused',
    'a kernel has it'
  ]);
  expect(await trouble(against(says(404, refusal)).server.task('x'))).toEqual(['refused', 'a kernel has it']);
  expect(await trouble(against(says(429, refusal)).server.task('x'))).toEqual(['busy', 'a kernel has it']);
  expect(await trouble(against(says(404, '<html>')).server.status())).toEqual(['missing', '404']);
  expect(await trouble(against(says(200, '<html>login')).server.status())).toEqual(['missing', '200']);
  expect(await trouble(against(says(503, '<html>')).server.status())).toEqual(['offline', '503']);
  const away = against(() => Promise.reject(new TypeError('Failed to fetch')));
  expect(await trouble(away.server.status())).toEqual(['offline', 'Failed to fetch']);
});

it('brings pictures', async () => {
  const png = () =>
    Promise.resolve(new Response(new Blob(['PNG']), { headers: { 'Content-Type': 'image/png' } }));
  const { server, asked } = against(png);
  expect(await (await server.picture('k/1', 'screen')).text()).toBe('PNG');
  expect(asked().url).toMatch(/\/kernels\/k%2F1\/windows\/screen$/);
  const gone = against(says(404, { message: 'there is no such window', reason: null }));
  expect(await trouble(gone.server.picture('k', 4))).toEqual(['refused', 'there is no such window']);
  expect(await trouble(against(says(200, '<html>login')).server.picture('k', 4))).toEqual(['missing', '200']);
});

it('ends the process of a call', async () => {
  const { server, asked } = against(says(200, { id: 'k', task: 'tclean' }));
  expect((await server.killCall('k')).task).toBe('tclean');
  expect([asked().method, asked().url]).toEqual([
    'POST',
    'http://there/user/a%40b/jupyterlab-casa/api/kernels/k/kill-call'
  ]);
});
