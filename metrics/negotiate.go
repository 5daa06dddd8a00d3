package metrics

import (
	"mime"
	"strconv"
	"strings"
)

// Negotiate returns the format that an Accept header prefers. Without a preference it is Text.
func Negotiate(accept string) Format {
	text, open := 0.0, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		media, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, is := parameters["q"]; is {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		switch media {
		case "application/openmetrics-text":
			if v := parameters["version"]; v == "" || v == "1.0.0" || v == "0.0.1" {
				open = max(open, quality)
			}
		case "text/plain", "text/*", "*/*":
			text = max(text, quality)
		}
	}
	if open > 0 && open >= text {
		return OpenMetrics
	}
	return Text
}
