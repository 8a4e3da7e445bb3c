import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import { version } from '../../package.json';
import graph from './graph';
import { launcher } from './launcher';
import { logs } from './logs/plugins';
import { notebooks, rerun } from './notebook/plugins';
import { products } from './products';
import { CasaServer } from './server/client';
import { ServerCondition } from './server/condition';
import { CasaEvents } from './server/events';
import { storyOf, tellStory } from './story';
import tasks from './tasks';
import { ICasaEvents, ICasaServer } from './tokens';

/** Tells CASA kernels where in the notebook each executed cell stands. */
const story: JupyterFrontEndPlugin<void> = {
  id: 'jupyterlab-casa:story',
  description: 'Tells CASA kernels where in the notebook each executed cell stands.',
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_: JupyterFrontEnd, notebooks: INotebookTracker) => {
    const follow = ({ context, sessionContext }: NotebookPanel) => {
      const tell = (kernel: Kernel.IKernelConnection | null | undefined) => {
        if (kernel) {
          tellStory(kernel, () => storyOf(context.localPath, context.model.cells));
        }
      };
      // A restarted kernel keeps its connection; another kernel comes with a new one.
      sessionContext.kernelChanged.connect((_, { newValue }) => {
        tell(newValue);
      });
      tell(sessionContext.session?.kernel);
    };
    notebooks.forEach(follow);
    notebooks.widgetAdded.connect((_, panel) => {
      follow(panel);
    });
  }
};

/** Knows the server extension. */
const server: JupyterFrontEndPlugin<ICasaServer> = {
  id: 'jupyterlab-casa:server',
  description:
    'Asks the server extension of JupyterLab-CASA, and sees whether it is there in the same version.',
  autoStart: true,
  provides: ICasaServer,
  activate: (app: JupyterFrontEnd): ICasaServer => {
    const api = new CasaServer(app.serviceManager.serverSettings);
    const state = new ServerCondition(api, version);
    void state.check();
    return { api, state };
  }
};

/** Hears what happens on the server. */
const events: JupyterFrontEndPlugin<ICasaEvents> = {
  id: 'jupyterlab-casa:events',
  description: 'Turns the event stream of the server into signals.',
  autoStart: true,
  requires: [ICasaServer],
  provides: ICasaEvents,
  activate: (app: JupyterFrontEnd, { api, state }: ICasaServer): ICasaEvents => {
    const events = new CasaEvents(app.serviceManager.events.stream, api, () => state.condition === 'ready');
    state.changed.connect(() => void events.look());
    return events;
  }
};

export default [story, server, events, notebooks, rerun, ...tasks, graph, logs, products, launcher];
