import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import { storyOf, tellStory } from './story';

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

export default [story];
