const eslint = require('@eslint/js');
const tseslint = require('typescript-eslint');

module.exports = tseslint.config(
  { ignores: ['**/node_modules', '**/lib', '.venv', 'python', 'kernel', 'demo', 'ui-tests', '**/*.js'] },
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: 'tsconfig.json', tsconfigRootDir: __dirname }
    }
  }
);
