package conn_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn/conntest"
)

// insideTLS is the variable in the environment that puts the tests inside TLS: those on
// conntest's server, whose bytes are cut as the value says, and those on a rig.
const insideTLS = "CONN_INSIDE_TLS"

func TestMain(m *testing.M) {
	switch os.Getenv(insideTLS) {
	case "text":
		conntest.InsideTLS(conntest.CutText)
	case "records":
		conntest.InsideTLS(conntest.CutRecords)
	}
	os.Exit(m.Run())
}

// notInside lists the tests that cannot hold inside TLS, by the reason.
var notInside = map[string][]string{
	"what it bends or counts are the bytes of commands and replies at the socket, where TLS has records": {
		"TestNoAllocations", "TestFloodLetsOutputThrough", "TestReadBudget", "TestLastWordsEnd", "TestOneByteWritten",
		"TestRefusedBetweenAnswers", "TestContinuationMeanwhile", "TestAnswerTooSoon", "TestRefusedBeforeItsLiteral",
		"TestQueueThatNeverEmpties", "TestAnswersHaveABound", "TestWaitForOutput", "TestRefusedBetweenLiterals",
	},
	"it puts layers of its own above the socket, with nothing below them": {
		"TestBudgetBehindKept", "TestLayer", "TestBudgetInLoop",
	},
	"it is about what is in the clear":                                {"TestCleartext", "TestLoginInTheClear"},
	"it counts looks at the clock, of which the handshake takes some": {"TestDeadlineMeanwhile"},
	"it is about TLS": {"TestTLS", "TestRigTLS"},
	"it has a server of its own, and no script": {
		"TestDovecot", "TestCyrus", "TestTorture", "TestTLSSocket", "TestLife", "TestInsideTLS", "TestGoodbye", "TestOpenSSL",
	},
}

// Each plain test on a scripted server also runs inside TLS: with each piece of what
// the server says in a record of its own, and with records that are cut.
func TestInsideTLS(t *testing.T) {
	var skip []string
	for _, names := range notInside {
		skip = append(skip, names...)
	}
	slices.Sort(skip)
	for _, cut := range []string{"text", "records"} {
		t.Run(cut, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^Test", "-test.skip=^("+strings.Join(skip, "|")+")")
			cmd.Env = append(os.Environ(), insideTLS+"="+cut)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("inside TLS the tests hold as they do outside: %v\n%s", err, out)
			}
		})
	}
}
