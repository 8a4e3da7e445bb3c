/** The domain of our texts, for `ITranslator`. */
export const DOMAIN = 'jupyterlab_casa';
