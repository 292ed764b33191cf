package awswire_test

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkcloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"penstock/internal/api"
	"penstock/internal/api/cloudwatch"
	"penstock/internal/awswire"
	"penstock/internal/fault"
)

// metrics is a small room of the CBOR protocol: it answers with what it was given.
type metrics struct{ cloudwatch.Unimplemented }

func (metrics) PutMetricData(_ context.Context, in *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error) {
	d := in.MetricData[0]
	if *d.Value != 1.5 || d.Timestamp.UnixMilli() != 1496380678648 || d.Dimensions[0].Value != "é" {
		return nil, fault.New("InvalidParameterValueException", "%+v", d)
	}
	return nil, nil
}

func (metrics) GetMetricStatistics(_ context.Context, in *cloudwatch.GetMetricStatisticsInput) (*cloudwatch.GetMetricStatisticsOutput, error) {
	return &cloudwatch.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: []cloudwatch.Datapoint{{Timestamp: in.StartTime, Sum: new(float64(*in.Period)), Unit: "Count"}}}, nil
}

func (metrics) SetAlarmState(_ context.Context, in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateOutput, error) {
	return nil, fault.New("ResourceNotFound", "no alarm %s", in.AlarmName)
}

func withMetrics(c *awswire.Config) { c.Services = append(c.Services, cloudwatch.New(metrics{})) }

func packed(text string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// W-36: the CBOR protocol to the byte, and JSON 1.0 and forms for the same service.
func TestGoldenCBORAnswers(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{}, withMetrics)
	const place = "POST /service/GraniteServiceVersion20100801/operation/"
	head := "\nSmithy-Protocol: rpc-v2-cbor\nContent-Type: application/cbor\nX-Amzn-Query-Mode: true\nAuthorization: " + signed("monitoring") + "\n\n"
	target := func(op string) string {
		return "POST /\nX-Amz-Target: GraniteServiceVersion20100801." + op + "\nContent-Type: application/x-amz-json-1.0\nAuthorization: " + signed("monitoring") + "\n\n"
	}
	form := "POST /\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\nAuthorization: " + signed("monitoring") + "\n\n"
	refusal := func(class, message string) string {
		return "\xa2\x66__type" + string(api.AppendCBORText(nil, class)) + "\x67message" + string(api.AppendCBORText(nil, message))
	}
	const statistics = "\xa5\x69Namespace\x61n\x6aMetricName\x61m\x69StartTime\xc1\x00\x67EndTime\xc1\x01\x66Period\x18\x3c"
	for name, c := range map[string]struct {
		request string
		status  int
		kind    string
		query   string
		body    string
	}{
		"an answer": {place + "GetMetricStatistics" + head + statistics, 200, "application/cbor", "",
			"\xa2\x65Label\x61m\x6aDatapoints\x81\xa3\x69Timestamp\xc1\x00\x63Sum\xfb\x40\x4e\x00\x00\x00\x00\x00\x00\x64Unit\x65Count"},
		"a class that is also called otherwise": {place + "PutMetricData" + head + "\xa2\x69Namespace\x61n\x6aMetricData\x81\xa4\x6aMetricName\x61m\x65Value\x00\x69Timestamp\xc1\x00\x6aDimensions\x81\xa2\x64Name\x61a\x65Value\x61b",
			400, "application/cbor", "InvalidParameterValue;Sender", ""},
		"a class": {place + "SetAlarmState" + head + "\xa3\x69AlarmName\x61a\x6aStateValue\x62OK\x6bStateReason\x60", 404, "application/cbor", "ResourceNotFound;Sender", refusal("ResourceNotFound", "no alarm a")},
		"W-21 what is missing": {place + "SetAlarmState" + head + "\xa2\x6aStateValue\x62OK\x6bStateReason\x60", 400, "application/cbor", "ValidationError;Sender",
			refusal("ValidationError", "1 validation error detected: Value null at 'AlarmName' failed to satisfy constraint: Member must not be null")},
		"too much when unpacked": {place + "SetAlarmState" + "\nContent-Encoding: gzip" + head + packed(strings.Repeat("\x00", awswire.MaxBody+1)), 400, "application/cbor", "ValidationError;Sender",
			refusal("ValidationError", "The request body is larger than 2097152 bytes")},
		"no gzip":           {place + "SetAlarmState" + "\nContent-Encoding: gzip" + head + "\xa0", 400, "application/cbor", "SerializationException;Sender", ""},
		"W-4 no CBOR":       {place + "SetAlarmState" + head + "{}", 400, "application/cbor", "SerializationException;Sender", ""},
		"N-18 an operation": {place + "PutDashboard" + head, 400, "application/cbor", "UnknownOperationException;Sender", refusal("UnknownOperationException", "The operation PutDashboard of CloudWatch is not offered by this penstock server")},
		"N-18 a service":    {"POST /service/CodePipeline_20150709/operation/ListPipelines" + head, 400, "application/cbor", "", refusal("UnknownOperationException", "The service CodePipeline_20150709 is not offered by this penstock server")},
		"N-18 a method":     {"GET /service/GraniteServiceVersion20100801/operation/ListMetrics" + head, 400, "application/cbor", "", ""},
		"JSON":              {target("GetMetricStatistics") + `{"Namespace":"n","MetricName":"m","StartTime":0,"EndTime":1,"Period":60}`, 200, "application/x-amz-json-1.0", "", `{"Label":"m","Datapoints":[{"Timestamp":0,"Sum":60,"Unit":"Count"}]}`},
		"a class in JSON":   {target("SetAlarmState") + `{"AlarmName":"a","StateValue":"OK","StateReason":""}`, 404, "application/x-amz-json-1.0", "", `{"__type":"ResourceNotFound","message":"no alarm a"}`},
		"a form": {form + "Action=GetMetricStatistics&Version=2010-08-01&Namespace=n&MetricName=m&StartTime=1970-01-01T00:00:00Z&EndTime=1970-01-01T00:00:01Z&Period=60&Statistics.member.1=Sum", 200, "text/xml", "",
			`<GetMetricStatisticsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><GetMetricStatisticsResult><Label>m</Label><Datapoints><member><Timestamp>1970-01-01T00:00:00Z</Timestamp><Sum>60</Sum><Unit>Count</Unit></member></Datapoints></GetMetricStatisticsResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetMetricStatisticsResponse>`},
		"a packed form": {strings.Replace(form, "\n\n", "\nContent-Encoding: gzip\n\n", 1) + packed("Action=PutMetricData&Version=2010-08-01&Namespace=n&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1.5&MetricData.member.1.Timestamp=2017-06-02T05:17:58.648Z&MetricData.member.1.Dimensions.member.1.Name=d&MetricData.member.1.Dimensions.member.1.Value=%C3%A9"), 200, "text/xml", "",
			`<PutMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></PutMetricDataResponse>`},
		"a class in a form":             {form + "Action=PutMetricData&Namespace=n&MetricData.member.1.MetricName=m&MetricData.member.1.Value=0&MetricData.member.1.Timestamp=1970-01-01T00:00:00Z&MetricData.member.1.Dimensions.member.1.Name=a&MetricData.member.1.Dimensions.member.1.Value=b", 400, "text/xml", "", ""},
		"a packed form that is no gzip": {strings.Replace(form, "\n\n", "\nContent-Encoding: gzip\n\n", 1) + "Action=ListMetrics", 400, "text/xml", "", ""},
		"N-18 an operation in a form":   {form + "Action=PutDashboard&Version=2010-08-01", 400, "text/xml", "", `<ErrorResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation PutDashboard for version 2010-08-01 of CloudWatch on this penstock server</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"a longer class in JSON":        {target("PutMetricData") + `{"Namespace":"n","MetricData":[{"MetricName":"m","Value":0,"Timestamp":0,"Dimensions":[{"Name":"a","Value":"b"}]}]}`, 400, "application/x-amz-json-1.0", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ask(t, d, c.request)
			got := strings.ReplaceAll(bodyOf(t, r), r.Header.Get("X-Amzn-Requestid"), "ID")
			protocol := map[string]string{"application/cbor": "rpc-v2-cbor"}[c.kind]
			if r.StatusCode != c.status || r.Header.Get("Content-Type") != c.kind || r.Header.Get("X-Amzn-Query-Error") != c.query || r.Header.Get("Smithy-Protocol") != protocol {
				t.Errorf("%d %v %q", r.StatusCode, r.Header, got)
			}
			if c.body != "" && got != c.body {
				t.Errorf("got  %s\nwant %s", hex.EncodeToString([]byte(got)), hex.EncodeToString([]byte(c.body)))
			}
		})
	}
}

// The AWS SDK sends what is understood and understands what it gets (W-36).
func TestCBORWithSDK(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(awswire.New(awswire.Config{Authenticate: claims, Services: []*api.Service{cloudwatch.New(metrics{})}}))
	t.Cleanup(srv.Close)
	client := sdkcloudwatch.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(srv.URL), HTTPClient: srv.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AK", "secret", ""),
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	at := time.UnixMilli(1496380678648).UTC()
	data := []cloudwatchtypes.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(1.5), Timestamp: &at, Dimensions: []cloudwatchtypes.Dimension{{Name: aws.String("d"), Value: aws.String("é")}}}}
	for _, least := range []int64{0, 10240} { // what is larger is sent packed
		put := func(o *sdkcloudwatch.Options) { o.RequestMinCompressSizeBytes = least }
		if _, err := client.PutMetricData(ctx, &sdkcloudwatch.PutMetricDataInput{Namespace: aws.String("n"), MetricData: data}, put); err != nil {
			t.Error(err)
		}
	}
	got, err := client.GetMetricStatistics(ctx, &sdkcloudwatch.GetMetricStatisticsInput{Namespace: aws.String("n"), MetricName: aws.String("m"), StartTime: &at, EndTime: &at, Period: aws.Int32(300)})
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Datapoints[0]; *got.Label != "m" || !p.Timestamp.Equal(at) || *p.Sum != 300 || p.Unit != "Count" || p.Average != nil {
		t.Errorf("%+v", p)
	}
	data[0].Value = aws.Float64(2)
	var wrong *cloudwatchtypes.InvalidParameterValueException
	if _, err := client.PutMetricData(ctx, &sdkcloudwatch.PutMetricDataInput{Namespace: aws.String("n"), MetricData: data}); !errors.As(err, &wrong) || wrong.ErrorCode() != "InvalidParameterValue" {
		t.Errorf("%#v", err)
	}
	var refused smithy.APIError
	if _, err := client.PutDashboard(ctx, &sdkcloudwatch.PutDashboardInput{DashboardName: aws.String("d"), DashboardBody: aws.String("{}")}); !errors.As(err, &refused) || refused.ErrorCode() != "UnknownOperationException" {
		t.Errorf("%#v", err)
	}
}
