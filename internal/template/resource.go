package template

import (
	"slices"
	"strings"
)

// kind tells what references to a type of resource give. In the texts ${N} is the name of the
// resource, ${P} the partition, ${R} the Region, ${A} the account and ${Path} its path.
type kind struct {
	// property holds the name, if the type has one, and most is how long it may be.
	property string
	most     int
	// ref is what Ref gives; "" is known only to whoever made the resource.
	ref        string
	attributes map[string]string
}

var kinds = map[string]kind{
	"AWS::IAM::Role":                     {"RoleName", 64, "${N}", map[string]string{"Arn": "arn:${P}:iam::${A}:role${Path}${N}"}},
	"AWS::S3::Bucket":                    {"BucketName", 63, "${N}", map[string]string{"Arn": "arn:${P}:s3:::${N}", "DomainName": "${N}.s3.amazonaws.com", "RegionalDomainName": "${N}.s3.${R}.amazonaws.com"}},
	"AWS::CodeBuild::Project":            {"Name", 150, "${N}", map[string]string{"Arn": "arn:${P}:codebuild:${R}:${A}:project/${N}"}},
	"AWS::CodeCommit::Repository":        {"RepositoryName", 100, "", map[string]string{"Arn": "arn:${P}:codecommit:${R}:${A}:${N}", "Name": "${N}"}},
	"AWS::SNS::Topic":                    {"TopicName", 256, "arn:${P}:sns:${R}:${A}:${N}", map[string]string{"TopicArn": "arn:${P}:sns:${R}:${A}:${N}", "TopicName": "${N}"}},
	"AWS::Lambda::Function":              {"FunctionName", 64, "${N}", map[string]string{"Arn": "arn:${P}:lambda:${R}:${A}:function:${N}"}},
	"AWS::KMS::Key":                      {"", 64, "${N}", map[string]string{"Arn": "arn:${P}:kms:${R}:${A}:key/${N}", "KeyId": "${N}"}},
	"AWS::KMS::Alias":                    {"AliasName", 256, "${N}", nil},
	"AWS::CodePipeline::Pipeline":        {"Name", 100, "${N}", nil},
	"AWS::CodePipeline::Webhook":         {"Name", 100, "${N}", nil},
	"AWS::CodeDeploy::Application":       {"ApplicationName", 100, "${N}", nil},
	"AWS::CodeDeploy::DeploymentGroup":   {"DeploymentGroupName", 100, "${N}", nil},
	"AWS::ECS::Cluster":                  {"ClusterName", 255, "${N}", map[string]string{"Arn": "arn:${P}:ecs:${R}:${A}:cluster/${N}"}},
	"AWS::ECS::Service":                  {"ServiceName", 255, "", map[string]string{"Name": "${N}"}},
	"AWS::ECR::Repository":               {"RepositoryName", 256, "${N}", map[string]string{"Arn": "arn:${P}:ecr:${R}:${A}:repository/${N}", "RepositoryUri": "${A}.dkr.ecr.${R}.amazonaws.com/${N}"}},
	"AWS::StepFunctions::StateMachine":   {"StateMachineName", 80, "arn:${P}:states:${R}:${A}:stateMachine:${N}", map[string]string{"Arn": "arn:${P}:states:${R}:${A}:stateMachine:${N}", "Name": "${N}"}},
	"AWS::CloudWatch::Alarm":             {"AlarmName", 255, "${N}", map[string]string{"Arn": "arn:${P}:cloudwatch:${R}:${A}:alarm:${N}"}},
	"AWS::Logs::LogGroup":                {"LogGroupName", 512, "${N}", map[string]string{"Arn": "arn:${P}:logs:${R}:${A}:log-group:${N}:*"}},
	"AWS::SSM::Parameter":                {"Name", 2048, "${N}", nil},
	"AWS::Events::Rule":                  {"Name", 64, "${N}", map[string]string{"Arn": "arn:${P}:events:${R}:${A}:rule/${N}"}},
	"AWS::ElasticBeanstalk::Application": {"ApplicationName", 100, "${N}", nil},
	"AWS::ElasticBeanstalk::Environment": {"EnvironmentName", 40, "${N}", nil},
}

// ref is Ref: a parameter, a pseudo parameter or a resource.
func (t *Template) ref(n *Node, name string) *Node {
	switch name {
	case "AWS::NoValue":
		return nil
	case "AWS::Region":
		return n.text(t.in.Region)
	case "AWS::AccountId":
		return n.text(t.in.Account)
	case "AWS::Partition":
		return n.text(t.in.Partition)
	case "AWS::StackName":
		return n.text(t.in.StackName)
	case "AWS::URLSuffix":
		if t.in.Partition == "aws-cn" {
			return n.text("amazonaws.com.cn")
		}
		return n.text("amazonaws.com")
	}
	if p := t.root.Get("Parameters").Get(name); p != nil {
		return t.parameter(n, name, p)
	}
	r := t.root.Get("Resources").Get(name)
	if v, ok := t.in.Values[name]; ok {
		return n.text(v)
	}
	if r == nil {
		t.fail(n, "the template has no parameter and no resource %q", name)
		return n.text("")
	}
	k := kinds[r.Get("Type").word()]
	if k.ref == "" {
		return n.text(t.given(n, name, "what Ref gives for "+name+" of type "+r.Get("Type").word()+" is known only to whoever made it"))
	}
	return n.text(t.fill(n, name, r, k, k.ref))
}

// word is the text of a node that may not be there.
func (n *Node) word() string {
	if n == nil {
		return ""
	}
	return n.Text
}

// parameter gives the value of a parameter, or its default.
func (t *Template) parameter(n *Node, name string, p *Node) *Node {
	kind := p.Get("Type").word()
	v, ok := t.in.Parameters[name]
	if d := p.Get("Default"); !ok && d != nil && d.Scalar() && !strings.HasPrefix(kind, "AWS::SSM::Parameter::Value") {
		v, ok = d.Text, true
	}
	switch {
	case !ok && strings.HasPrefix(kind, "AWS::SSM::Parameter::Value"):
		t.fail(n, "the parameter %s is the name of a parameter of Systems Manager, which is not looked up here; give its value with --parameter '%s=…'", name, name)
	case !ok:
		t.fail(n, "the parameter %s has no value and no default; give it with --parameter '%s=…'", name, name)
	}
	if allowed := p.Get("AllowedValues"); ok && allowed != nil && allowed.Kind == List {
		t.steps += len(allowed.Items)
		if !slices.ContainsFunc(allowed.Items, func(a *Node) bool { return a.Text == v }) {
			t.fail(n, "the parameter %s is %q; its AllowedValues are %s", name, v, several(allowed.Items))
		}
	}
	t.spend(n, len(v))
	if kind == "CommaDelimitedList" || strings.Contains(kind, "List<") {
		list := strings.Split(v, ",")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return t.texts(n, list)
	}
	return n.text(v)
}

// several names what there is to choose from, as far as a line may hold it.
func several(nodes []*Node) string {
	const most = 10
	var texts []string
	for _, n := range nodes[:min(len(nodes), most)] {
		texts = append(texts, n.Text)
	}
	if len(nodes) > most {
		texts = append(texts, "…")
	}
	return strings.Join(texts, ", ")
}

// attribute is Fn::GetAtt.
func (t *Template) attribute(n *Node, id, attribute string) string {
	key := id + "." + attribute
	if v, ok := t.in.Values[key]; ok {
		return v
	}
	r := t.root.Get("Resources").Get(id)
	if r == nil {
		t.fail(n, "the template has no resource %q", id)
		return ""
	}
	typ := r.Get("Type").word()
	k := kinds[typ]
	if typ == "AWS::SSM::Parameter" && attribute == "Value" {
		if v := r.Get("Properties").Get("Value"); v != nil {
			return t.value(n, key, v, "Fn::GetAtt")
		}
	}
	form, ok := k.attributes[attribute]
	if !ok {
		return t.given(n, key, "the attribute "+attribute+" of "+id+" of type "+typ+" is known only to whoever made it")
	}
	return t.fill(n, id, r, k, form)
}

// value evaluates what references ask for once: it could ask for another twice, and so on, and
// for itself.
func (t *Template) value(n *Node, key string, v *Node, user string) string {
	p := t.names[key]
	if p == nil {
		p = &progress{}
		t.names[key] = p
		p.text, _ = t.scalar(v, user)
		p.done = true
	} else if !p.done {
		t.fail(n, "the value of %s depends on itself", key)
	}
	t.spend(n, len(p.text))
	return p.text
}

func (t *Template) fill(n *Node, id string, r *Node, k kind, form string) string {
	if !t.made(id) {
		t.fail(n, "the condition of %s does not hold, so there is no such resource", id)
		return ""
	}
	name := t.name(n, id, r, k)
	path := "/"
	if p := r.Get("Properties").Get("Path"); p != nil && strings.Contains(form, "${Path}") {
		path = t.value(n, id+".Path", p, "Path")
	}
	out := strings.NewReplacer("${N}", name, "${P}", t.in.Partition, "${R}", t.in.Region, "${A}", t.in.Account, "${Path}", path).Replace(form)
	t.spend(n, len(out))
	return out
}

// name gives the name a resource has here: what the template says or, where CloudFormation
// would make up one, its logical id in small letters. It is the same every time.
func (t *Template) name(n *Node, id string, r *Node, k kind) string {
	if p := t.names[id]; p != nil {
		if !p.done {
			t.fail(n, "the name of %s depends on itself", id)
		}
		return p.text
	}
	p := &progress{}
	t.names[id] = p
	typ := r.Get("Type").word()
	p.text = strings.ToLower(id)
	if len(p.text) > k.most && k.most > 0 {
		p.text = p.text[:k.most]
	}
	if k.property != "" {
		if given := r.Get("Properties").Get(k.property); given != nil {
			path := t.path // the name is evaluated wherever it is asked for first, and with its resource
			t.path = []string{"Resources", id, "Properties", k.property}
			if v := t.Evaluate(given); v != nil && v.Scalar() {
				p.text = v.Text
			}
			t.path = path
		}
	}
	p.done = true
	if other, ok := t.owner[typ+" "+p.text]; ok {
		t.fail(n, "%s and %s would both be the %s %q; give one of them a %s", other, id, typ, p.text, k.property)
	}
	t.owner[typ+" "+p.text] = id
	t.uses = append(t.uses, Use{ID: id, Type: typ, Name: p.text, Line: t.place(id)})
	return p.text
}

func (t *Template) place(id string) int {
	k, _ := t.root.Get("Resources").entry(id)
	return k.Line
}

// Name gives the name a resource of the template has.
func (t *Template) Name(r Resource) string {
	return t.name(r.Place, r.ID, t.root.Get("Resources").Get(r.ID), kinds[r.Type])
}
