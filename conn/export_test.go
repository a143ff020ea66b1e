package conn

// AtMost is for the tests from outside too.
var AtMost = atMost
