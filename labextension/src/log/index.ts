import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { type ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import { DOMAIN } from '../domain';
import { parseLog } from './model';
import { createCallView } from './view';

/** The MIME type of a task's log; the kernel sends it beside HTML and plain text. */
export const MIME_TYPE = 'application/vnd.casa.log+json';

/** Shows the log of a task call. */
export class LogRenderer extends Widget implements IRenderMime.IRenderer {
  constructor(translator: ITranslator = nullTranslator) {
    super();
    this._trans = translator.load(DOMAIN);
    this.addClass('jp-RenderedCasaLog');
  }

  /** Shows a log, or says that it cannot. */
  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const log = parseLog(model.data[MIME_TYPE]);
    const view = log
      ? createCallView(log, this._trans)
      : document.createTextNode(this._trans.__('This is not a CASA log that this version can show.'));
    this.node.replaceChildren(view);
    return Promise.resolve();
  }

  private readonly _trans: TranslationBundle;
}

const extension: IRenderMime.IExtension = {
  id: 'jupyterlab-casa:log',
  description: 'Shows the log of a CASA task, filtered by priority and text.',
  rendererFactory: {
    safe: true, // shows text only, so an untrusted notebook may use it
    mimeTypes: [MIME_TYPE],
    createRenderer: ({ translator }) => new LogRenderer(translator)
  },
  rank: 10, // before text/html (50), which every other viewer shows
  dataType: 'json'
};

export default extension;
