package fuzz_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"postern/h1"
	"postern/internal/h1test"
)

// FuzzDiffResponse feeds raw bytes to a client and to the reference for responses:
// they must agree on every response, on how the connection ends and on what is left
// then. A code draws what was asked, the limits and the flags.
func FuzzDiffResponse(f *testing.F) {
	for _, c := range refRespCases {
		f.Add([]byte(c.in), c.code)
	}
	seeds(f, func(in []byte) { f.Add(in, refRespThree) })
	f.Fuzz(func(t *testing.T, in []byte, code uint32) { refRespCompare(t, in, code) })
}

// TestResponseReference makes the same comparison for all cases and for mutations
// of them, the same ones every time.
func TestResponseReference(t *testing.T) {
	for _, c := range refRespCases {
		refRespCompare(t, []byte(c.in), c.code)
	}
	ends := make(map[refRespEnd]int)
	rng := rand.New(rand.NewPCG(9112, 9110))
	seeds := refRespSeeds()
	for range 50_000 {
		ends[refRespCompare(t, refRespMutate(rng, seeds), refRespDraw(rng)).end]++
	}
	for _, end := range []refRespEnd{refRespClean, refRespClosing, refRespSwitched, refRespFailed} {
		if ends[end] < 1000 {
			t.Errorf("only %d of the mutated inputs end %s", ends[end], end)
		}
	}
}

// refRespCodes names the codes as the reference does.
var refRespCodes = map[h1.Code]string{
	h1.ErrBareCR: "BareCR", h1.ErrBareLF: "BareLF", h1.ErrControl: "Control", h1.ErrVersion: "Version",
	h1.ErrVersionMajor: "VersionMajor", h1.ErrStatusLine: "StatusLine", h1.ErrUnsolicited: "Unsolicited",
	h1.ErrLeadingSpace: "LeadingSpace", h1.ErrFieldName: "FieldName", h1.ErrSpaceBeforeColon: "SpaceBeforeColon",
	h1.ErrTooManyFields: "TooManyFields", h1.ErrHeadTooLarge: "HeadTooLarge", h1.ErrTrailerTooLarge: "TrailerTooLarge",
	h1.ErrTrailerField: "TrailerField", h1.ErrEmptyMembers: "EmptyMembers", h1.ErrTransferEncoding: "TransferEncoding",
	h1.ErrTransferCoding: "TransferCoding", h1.ErrTransferEncoding10: "TransferEncoding10",
	h1.ErrLengthAndEncoding: "LengthAndEncoding", h1.ErrContentLength: "ContentLength", h1.ErrContentLengths: "ContentLengths",
	h1.ErrChunkSize: "ChunkSize", h1.ErrChunkExtension: "ChunkExtension", h1.ErrChunkLineTooLong: "ChunkLineTooLong",
	h1.ErrChunkOverhead: "ChunkOverhead", h1.ErrChunkEnd: "ChunkEnd", h1.ErrBodyTooLarge: "BodyTooLarge",
	h1.ErrUnexpectedEOF: "UnexpectedEOF", h1.ErrTooManyInfo: "TooManyInfo", h1.ErrNotOffered: "NotOffered",
}

func refRespCompare(t testing.TB, in []byte, code uint32) refRespResult {
	setup := refRespDecode(code)
	got, sent, err := refRespDrive(t, in, setup)
	setup.requests = setup.requests[:sent]
	want := refRespParse(in, setup)
	switch {
	case err != nil:
		t.Errorf("%q with code %#x: %v", in, code, err)
	case got.String() != want.String(),
		want.end == refRespFailed && !slices.Contains(want.faults, got.faults[0]) && !refRespEarly(got, want):
		t.Errorf("%q with code %#x, %+v:\nh1:        %v %v\nreference: %v %v", in, code, setup, got, got.faults, want, want.faults)
	}
	return want
}

// refRespEarly reports whether h1 named what is wrong in a chunk-size line whose end
// the reference missed: h1 looks at such a line byte by byte.
func refRespEarly(got, want refRespResult) bool {
	last := len(got.responses) - 1
	return last >= 0 && got.responses[last].framing == refRespChunked && !got.responses[last].complete &&
		slices.Contains([]string{"ChunkSize", "ChunkExtension"}, got.faults[0]) &&
		slices.ContainsFunc(want.faults, func(fault string) bool {
			return slices.Contains([]string{"BareCR", "BareLF", "UnexpectedEOF", "ChunkLineTooLong"}, fault)
		})
}

// refRespOpen returns a client that has sent the requests, and how many of them could
// be sent: nothing is behind an offer.
func refRespOpen(t testing.TB, setup refRespSetup) (c *h1.ClientConn, sent int) {
	c = new(h1.ClientConn)
	l, f := setup.limits, setup.flags
	c.Reset(&h1.Config{MaxHead: l.maxHead, MaxFields: l.maxFields, MaxTrailer: l.maxTrailer, MaxTrailerFields: l.maxTrailerFields,
		MaxChunkLine: l.maxChunkLine, MaxChunkOverhead: l.maxChunkOverhead, MaxBody: l.maxBody, MaxInfo: l.maxInfo, MaxPending: 4,
		LFResponses: f.LFResponses, ChunkSizeSpace: f.ChunkSizeSpace, CTLValues: f.CTLValues, AcceptCLTE: f.AcceptCLTE, StripNameSpace: f.StripNameSpace})
	var questions []h1test.Question
	for _, r := range setup.requests {
		questions = append(questions, h1test.Question{Method: r.method, Upgrade: r.offersUpgrade, TECoding: r.offersTE, Close: r.close})
	}
	return c, len(h1test.Ask(t, c, questions))
}

// refRespDrive reads in with a client. It returns how many of the requests were sent.
func refRespDrive(t testing.TB, in []byte, setup refRespSetup) (res refRespResult, sent int, err error) {
	c, sent := refRespOpen(t, setup)
	in = slices.Clone(in) // folded lines are overwritten
	for {
		ev, n, fault := c.Next(in)
		in = in[n:]
		last := len(res.responses) - 1
		if fault != nil {
			res.end, res.faults = refRespFailed, []string{refRespCodes[fault.(*h1.Error).Code]}
			return res, sent, nil
		}
		switch h := c.Response(); ev.Kind {
		case h1.EventInfo, h1.EventResponse:
			r := refResponse{info: ev.Kind == h1.EventInfo, version: int(h.Version()), status: h.Status(), reason: string(h.Reason()),
				fields: refRespFieldsOf(h), framing: refRespFrame(h.Framing().String())}
			if r.info {
				r.complete = true
			}
			res.responses = append(res.responses, r)
		case h1.EventData:
			res.responses[last].content += string(ev.Data)
		case h1.EventEnd:
			r := &res.responses[last]
			r.complete, r.trailer, r.keepAlive = true, refRespFieldsOf(c.Trailer()), !c.ShouldClose()
		case h1.EventSwitched:
			r := &res.responses[last]
			r.switched, r.complete = true, true
			res.end, res.left = refRespSwitched, len(in)
			return res, sent, nil
		case h1.EventClosed:
			if res.end = refRespClean; last >= 0 && !res.responses[last].keepAlive {
				res.end, res.left = refRespClosing, len(in)
			}
			return res, sent, nil
		case h1.EventNeedData:
			if c.CloseInput(); setup.failed {
				c.FailInput()
			}
		default:
			return res, sent, fmt.Errorf("unexpected %v", ev.Kind)
		}
	}
}

func refRespFieldsOf(h *h1.Head) (all []refRespField) {
	for name, value := range h.All() {
		all = append(all, refRespField{string(name), string(value)})
	}
	return all
}
