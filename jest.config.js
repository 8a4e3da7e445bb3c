module.exports = {
  roots: ['<rootDir>/labextension/src'],
  testEnvironment: 'jsdom',
  setupFiles: ['<rootDir>/jest.setup.js'],
  testRegex: '\\.spec\\.tsx?$',
  // those that tests use and that are no CommonJS
  transformIgnorePatterns: ['/node_modules/(?!@jupyter/ydoc/|@jupyterlab/(translation|statedb)/)']
};
