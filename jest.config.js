module.exports = {
  roots: ['<rootDir>/labextension/src'],
  testEnvironment: 'jsdom',
  setupFiles: ['<rootDir>/jest.setup.js'],
  testRegex: '\\.spec\\.tsx?$',
  transformIgnorePatterns: ['/node_modules/(?!@jupyter/ydoc/)'] // the only one of those that tests use that is no CommonJS
};
