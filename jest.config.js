module.exports = {
  roots: ['<rootDir>/labextension/src'],
  testEnvironment: 'jsdom',
  testRegex: '\\.spec\\.ts$'
};
