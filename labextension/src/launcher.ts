/** What the launcher offers: a notebook, and the tutorial. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, ICommandPalette, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { casaIcon, tutorialIcon } from './products/icons';
import { trouble } from './products/words';
import { KERNEL_NAME } from './story';
import { DOMAIN, ICasaServer } from './tokens';
import { beginTutorial } from './tutorial';

const CommandIDs = {
  notebook: 'jupyterlab-casa:new-notebook',
  tutorial: 'jupyterlab-casa:tutorial'
} as const;

/** Cards in the launcher. */
export const launcher: JupyterFrontEndPlugin<void> = {
  id: 'jupyterlab-casa:launcher',
  description: 'Offers a CASA notebook and the tutorial in the launcher.',
  autoStart: true,
  requires: [ICasaServer],
  optional: [ILauncher, IDefaultFileBrowser, ITranslator, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    { api, state }: ICasaServer,
    launcher: ILauncher | null,
    browser: IDefaultFileBrowser | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const { commands, serviceManager } = app;
    const cwdOf = (args: { cwd?: unknown }) =>
      serviceManager.contents.localPath(
        typeof args.cwd === 'string' ? args.cwd : (browser?.model.path ?? '')
      );
    commands.addCommand(CommandIDs.notebook, {
      label: args => (args.isPalette ? trans.__('New CASA Notebook') : trans.__('CASA notebook')),
      caption: trans.__('A notebook whose cells remember what they computed'),
      icon: args => (args.isPalette ? undefined : casaIcon),
      execute: args => commands.execute('notebook:create-new', { cwd: cwdOf(args), kernelName: KERNEL_NAME })
    });
    commands.addCommand(CommandIDs.tutorial, {
      label: args => (args.isPalette ? trans.__('Begin the CASA Tutorial') : trans.__('CASA tutorial')),
      caption: trans.__('NGC 5921, from the raw data of the VLA to an image, in this folder'),
      icon: args => (args.isPalette ? undefined : tutorialIcon),
      isEnabled: () => state.condition !== 'missing',
      execute: async args => {
        try {
          const path = await beginTutorial(api, cwdOf(args), changed => askAbout(changed, trans));
          return path === null ? null : ((await commands.execute('docmanager:open', { path })) as unknown);
        } catch (error) {
          await showErrorMessage(trans.__('The Tutorial Cannot Be Written'), trouble(error, trans));
          return null;
        }
      }
    });
    state.changed.connect(() => {
      commands.notifyCommandChanged(CommandIDs.tutorial);
    });
    const category = trans.__('CASA');
    launcher?.add({ command: CommandIDs.notebook, category, rank: 1 });
    launcher?.add({ command: CommandIDs.tutorial, category, rank: 2 });
    palette?.addItem({ command: CommandIDs.notebook, category, args: { isPalette: true } });
    palette?.addItem({ command: CommandIDs.tutorial, category, args: { isPalette: true } });
  }
};

async function askAbout(
  changed: readonly string[],
  trans: TranslationBundle
): Promise<'open' | 'beside' | null> {
  const { button } = await showDialog({
    title: trans.__('The Tutorial Is Here Already'),
    body: trans.__(
      '%1 in this folder is not as the tutorial has it any more. It is left as it is. You can go on with it, or begin anew in a folder beside it.',
      changed.join(', ')
    ),
    buttons: [
      Dialog.cancelButton(),
      Dialog.okButton({ label: trans.__('Begin Anew'), actions: ['beside'] }),
      Dialog.okButton({ label: trans.__('Go On'), actions: ['open'] })
    ]
  });
  const [action] = button.actions;
  return button.accept && (action === 'open' || action === 'beside') ? action : null;
}
