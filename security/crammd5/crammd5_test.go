package crammd5

import (
	"testing"

	"github.com/tombolo-project/tombolo/security/credentials"
)

// The example of RFC 2195, section 3.
func TestTheExampleOfTheRFC(t *testing.T) {
	tim := credentials.Credential{Principal: "tim", Secret: credentials.NewSecret("tanstaaftanstaaf")}
	const challenge = "<1896.697170952@postoffice.reston.mci.net>"
	if got := string(Answer(tim, []byte(challenge))); got != "tim b913a602c7eda7a495b4e6e7334d3890" {
		t.Errorf("answered %s", got)
	}
	s := NewServer(credentials.NewStore(tim), challenge)
	if got, err := s.Start(Mechanism, nil); err != nil || string(got) != challenge {
		t.Fatalf("%s, %v", got, err)
	}
	if principal, right, err := s.Step([]byte("tim b913a602c7eda7a495b4e6e7334d3890")); err != nil || !right || principal != "tim" {
		t.Errorf("%q %t %v", principal, right, err)
	}
}

func TestWhatIsNoProof(t *testing.T) {
	store := credentials.NewStore(credentials.Credential{Principal: "a b", Secret: credentials.NewSecret("s")})
	good := string(Answer(credentials.Credential{Principal: "a b", Secret: credentials.NewSecret("s")}, []byte("c")))
	for answer, want := range map[string]struct{ right, failed bool }{
		good:                                   {true, false}, // a principal may contain spaces
		good[:len(good)-1] + "x":               {false, false},
		"a b ":                                 {false, false},
		"nobody 00":                            {false, false},
		"":                                     {false, true},
		" " + good[len("a b "):]:               {false, true},
		string(make([]byte, maxAnswer)) + " x": {false, true},
	} {
		s := NewServer(store, "c")
		if _, err := s.Start(Mechanism, nil); err != nil {
			t.Fatal(err)
		}
		if _, right, err := s.Step([]byte(answer)); right != want.right || (err != nil) != want.failed {
			t.Errorf("%.60q: %t, %v", answer, right, err)
		}
		if _, right, err := s.Step([]byte(good)); right || err == nil {
			t.Error("a second answer was taken")
		}
	}
	// An empty secret of an unknown principal must not be good for anything.
	s := NewServer(credentials.NewStore(), "c")
	if _, err := s.Start(Mechanism, nil); err != nil {
		t.Fatal(err)
	}
	if _, right, _ := s.Step(Answer(credentials.Credential{Principal: "x"}, []byte("c"))); right {
		t.Error("nobody knows the principal, and it is in")
	}
}

func TestTheOrderOfSteps(t *testing.T) {
	store := credentials.NewStore(credentials.Credential{Principal: "p", Secret: credentials.NewSecret("s")})
	if _, _, err := NewServer(store, "c").Step([]byte("p x")); err == nil {
		t.Error("a step before the start")
	}
	if _, err := NewServer(store, "c").Start("PLAIN", nil); err == nil {
		t.Error("another mechanism")
	}
	if _, err := NewServer(store, "c").Start(Mechanism, []byte("x")); err == nil {
		t.Error("initial data")
	}
	s := NewServer(store, "c")
	_, _ = s.Start(Mechanism, nil)
	if _, err := s.Start(Mechanism, nil); err == nil {
		t.Error("two starts")
	}
}
