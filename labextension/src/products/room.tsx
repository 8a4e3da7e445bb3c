/** The dialog that makes room in the store. */
import { Dialog, ReactWidget, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReactElement } from 'react';
import { CollectionPreview, type CollectionServer, type IPreviewProps } from './collect';
import { collectionWords, size } from './words';

class PreviewBody extends ReactWidget implements Dialog.IBodyWidget<number | undefined | null> {
  constructor(private readonly _props: Omit<IPreviewProps, 'onBudget'>) {
    super();
  }

  getValue(): number | undefined | null {
    return this._budget;
  }

  protected render(): ReactElement {
    return (
      <CollectionPreview
        {...this._props}
        onBudget={budget => {
          this._budget = budget;
        }}
      />
    );
  }

  private _budget: number | undefined | null;
}

/**
 * Shows what would go, and lets it go if that is wanted.
 *
 * @returns What was done, in a sentence; empty: nothing.
 */
export async function makeRoom(
  server: CollectionServer,
  path: string,
  trans: TranslationBundle
): Promise<string> {
  const { button, value } = await showDialog({
    title: trans.__('Make Room in the Store'),
    body: new PreviewBody({ server, path, trans }),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Let Them Go') })],
    focusNodeSelector: 'input',
    defaultButton: 0
  });
  if (!button.accept || value === null) {
    return '';
  }
  const found = await server.collect(path, value);
  return found.freed || found.candidates.some(({ keep }) => keep === '')
    ? collectionWords(found, trans).result
    : trans.__('Nothing had to go: versions take %1 of disk.', size(found.physical));
}
