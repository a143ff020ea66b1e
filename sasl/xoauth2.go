package sasl

// XOAuth2 is XOAUTH2, Google's mechanism before OAUTHBEARER, which Microsoft has as
// well (https://developers.google.com/gmail/imap/xoauth2-protocol). It behaves as
// [OAuthBearer], but for the form of the message, and that an explanation is answered
// by an empty response.
func XOAuth2(p Provider) Mechanism {
	return &bearer{name: "XOAUTH2", provider: p, message: xoauth2Message, after: ""}
}

func xoauth2Message(_ Params, user string, token Secret) []byte {
	return bearerMessage("user="+user+"\x01", token)
}
