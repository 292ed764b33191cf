package codedeploy

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"sync"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// maxInstanceTags is how many tags an instance has.
const maxInstanceTags = 10

var (
	roleForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]{1,512}$`) })
	userForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}):user/[!-~]{1,512}$`)
	})
	sessionForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^arn:aws[a-z-]*:sts::([0-9]{12}):assumed-role/[!-~]{1,512}/[!-~]{1,64}$`)
	})
)

// nameOfInstance checks the name that a request is about and authorises the operation on it.
func nameOfInstance(ctx context.Context, operation, name string) (auth.Caller, error) {
	c, err := check(ctx, operation, kindInstance, name)
	if err == nil && name == "" {
		err = fault.New("InstanceNameRequiredException", "instanceName is missing: name the on-premises instance.")
	}
	if err == nil {
		err = checkName("InvalidInstanceNameException", "instanceName", name)
	}
	return c, err
}

// identity gives the ARN that the host of an instance will call with.
func identity(c auth.Caller, user, session string) (string, error) {
	own := func(form *regexp.Regexp, arn string) bool {
		m := form.FindStringSubmatch(arn)
		return m != nil && m[1] == c.Account
	}
	switch {
	case user == "" && session == "":
		return "", fault.New("IamArnRequiredException", "iamUserArn or iamSessionArn is needed: the agent of the instance is known by it.")
	case user != "" && session != "":
		return "", fault.New("MultipleIamArnsProvidedException", "iamUserArn and iamSessionArn are both there: the agent of the instance has one of them.")
	case user != "" && !own(userForm(), user):
		return "", fault.New("InvalidIamUserArnException", "iamUserArn %q is not the ARN of a user of this account: it is like arn:aws:iam::%s:user/name.", user, c.Account)
	case session != "" && !own(sessionForm(), session):
		return "", fault.New("InvalidIamSessionArnException", "iamSessionArn %q is not the ARN of a role session of this account: it is like arn:aws:sts::%s:assumed-role/role/session.", session, c.Account)
	}
	return user + session, nil
}

// RegisterOnPremisesInstance implements the API. A name that was deregistered can be registered
// again, without the tags that it had.
func (r *Room) RegisterOnPremisesInstance(ctx context.Context, in *api.RegisterOnPremisesInstanceInput) (*api.RegisterOnPremisesInstanceOutput, error) {
	c, err := nameOfInstance(ctx, "RegisterOnPremisesInstance", in.InstanceName)
	if err != nil {
		return nil, err
	}
	who, err := identity(c, in.IamUserArn, in.IamSessionArn)
	if err != nil {
		return nil, err
	}
	row := store.CodeDeployInstance{Account: c.Account, Region: c.Region, Name: in.InstanceName, ARN: who}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(ctx, c.Account); err != nil { // nobody else takes the ARN or the last place
			return err
		}
		text, err := json.Marshal(api.InstanceInfo{
			InstanceName: in.InstanceName, IamUserArn: in.IamUserArn, IamSessionArn: in.IamSessionArn,
			InstanceArn: arnOf(c.Account, c.Region, kindInstance, in.InstanceName), RegisterTime: new(tx.Now()), Tags: []api.Tag{},
		})
		if err != nil {
			return err
		}
		row.Doc = string(text)
		switch other, err := tx.CodeDeployInstanceOf(ctx, c.Account, c.Region, who); {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case other.Name == in.InstanceName:
			return fault.New("InstanceNameAlreadyRegisteredException", "The on-premises instance %s is registered already.", in.InstanceName)
		case in.IamSessionArn != "":
			return fault.New("IamSessionArnAlreadyRegisteredException", "The session %s is registered already, for the on-premises instance %s.", who, other.Name)
		default:
			return fault.New("IamUserArnAlreadyRegisteredException", "The user %s is registered already, for the on-premises instance %s.", who, other.Name)
		}
		all, err := tx.RegisteredCodeDeployInstances(ctx, c.Account, c.Region, maxRegistered)
		if err != nil {
			return err
		}
		if len(all) == maxRegistered {
			return fault.New("InstanceLimitExceededException", "An account has at most %d registered on-premises instances in a Region.", maxRegistered)
		}
		switch old, err := tx.LockCodeDeployInstance(ctx, c.Account, c.Region, in.InstanceName); {
		case err == nil && old.ARN != "":
			return fault.New("InstanceNameAlreadyRegisteredException", "The on-premises instance %s is registered already.", in.InstanceName)
		case err == nil:
			return tx.SetCodeDeployInstance(ctx, row)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		free, err := tx.AddCodeDeployInstance(ctx, row)
		if err == nil && !free { // another request was faster
			err = fault.New("InstanceNameAlreadyRegisteredException", "The on-premises instance %s, or its IAM ARN, is registered already.", in.InstanceName)
		}
		return err
	})
}

// changeInstance changes a registered instance.
func (r *Room) changeInstance(ctx context.Context, tx *store.Tx, c auth.Caller, name string, change func(row *store.CodeDeployInstance, i *api.InstanceInfo) error) error {
	row, err := tx.LockCodeDeployInstance(ctx, c.Account, c.Region, name)
	if err != nil {
		return notRegistered(err, name)
	}
	var i api.InstanceInfo
	if err := json.Unmarshal([]byte(row.Doc), &i); err != nil {
		return err
	}
	if row.ARN == "" {
		return notRegistered(store.ErrNotFound, name)
	}
	if err := change(&row, &i); err != nil {
		return err
	}
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	row.Doc = string(text)
	return tx.SetCodeDeployInstance(ctx, row)
}

func notRegistered(err error, name string) error {
	return orMissing(err, "InstanceNotRegisteredException", "The on-premises instance %s is not registered.", name)
}

// DeregisterOnPremisesInstance implements the API. The instance stays known; one that is not
// registered is no error. A deployment that is in progress gets no answer from it any more.
func (r *Room) DeregisterOnPremisesInstance(ctx context.Context, in *api.DeregisterOnPremisesInstanceInput) (*api.DeregisterOnPremisesInstanceOutput, error) {
	c, err := nameOfInstance(ctx, "DeregisterOnPremisesInstance", in.InstanceName)
	if err != nil {
		return nil, err
	}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		return r.changeInstance(ctx, tx, c, in.InstanceName, func(row *store.CodeDeployInstance, i *api.InstanceInfo) error {
			row.ARN, i.DeregisterTime = "", new(tx.Now())
			return nil
		})
	})
	if fault.Code(err) == "InstanceNotRegisteredException" {
		err = nil
	}
	return nil, err
}

// GetOnPremisesInstance implements the API.
func (r *Room) GetOnPremisesInstance(ctx context.Context, in *api.GetOnPremisesInstanceInput) (*api.GetOnPremisesInstanceOutput, error) {
	c, err := nameOfInstance(ctx, "GetOnPremisesInstance", in.InstanceName)
	if err != nil {
		return nil, err
	}
	list, err := r.instancesNamed(ctx, c, in.InstanceName)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, notRegistered(store.ErrNotFound, in.InstanceName)
	}
	return &api.GetOnPremisesInstanceOutput{InstanceInfo: &list[0]}, nil
}

// BatchGetOnPremisesInstances implements the API; instances that are not there are left out.
func (r *Room) BatchGetOnPremisesInstances(ctx context.Context, in *api.BatchGetOnPremisesInstancesInput) (*api.BatchGetOnPremisesInstancesOutput, error) {
	if err := tooMany(len(in.InstanceNames)); err != nil {
		return nil, err
	}
	c := auth.From(ctx)
	for _, name := range in.InstanceNames {
		if _, err := nameOfInstance(ctx, "BatchGetOnPremisesInstances", name); err != nil {
			return nil, err
		}
	}
	list, err := r.instancesNamed(ctx, c, in.InstanceNames...)
	return &api.BatchGetOnPremisesInstancesOutput{InstanceInfos: list}, err
}

func (r *Room) instancesNamed(ctx context.Context, c auth.Caller, names ...string) (list []api.InstanceInfo, err error) {
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = []api.InstanceInfo{}
		for _, name := range names {
			row, err := tx.GetCodeDeployInstance(ctx, c.Account, c.Region, name)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			var i api.InstanceInfo
			if err := json.Unmarshal([]byte(row.Doc), &i); err != nil {
				return err
			}
			list = append(list, i)
		}
		return nil
	})
	return list, err
}

// ListOnPremisesInstances implements the API. A page that filters leave little of says where to go
// on.
func (r *Room) ListOnPremisesInstances(ctx context.Context, in *api.ListOnPremisesInstancesInput) (*api.ListOnPremisesInstancesOutput, error) {
	c, err := everything(ctx, "ListOnPremisesInstances")
	if err != nil {
		return nil, err
	}
	if err := checkFilters("InvalidTagFilterException", "tagFilters", in.TagFilters); err != nil {
		return nil, err
	}
	key, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListOnPremisesInstancesOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.InstanceNames, out.NextToken = []string{}, ""
		rows, err := tx.ListCodeDeployInstances(ctx, c.Account, c.Region, store.Keyset{After: key.After, Limit: pageSize})
		for _, row := range rows {
			var i api.InstanceInfo
			if err := json.Unmarshal([]byte(row.Doc), &i); err != nil {
				return err
			}
			registered := in.RegistrationStatus == "" || (in.RegistrationStatus == "Registered") == (row.ARN != "")
			if registered && (len(in.TagFilters) == 0 || anyMatches(in.TagFilters, i.Tags)) {
				out.InstanceNames = append(out.InstanceNames, row.Name)
			}
		}
		if len(rows) == pageSize {
			out.NextToken = pageToken(rows[len(rows)-1].Name, key.Time)
		}
		return err
	})
}

// namesOfInstances checks the names and tags of a request and authorises it on each instance.
func namesOfInstances(ctx context.Context, operation string, names []string, tags []api.Tag) (auth.Caller, error) {
	if len(names) == 0 {
		return missing(ctx, operation, "InstanceNameRequiredException", "instanceNames is empty: name the on-premises instances.")
	}
	for _, name := range names {
		if _, err := nameOfInstance(ctx, operation, name); err != nil {
			return auth.From(ctx), err
		}
	}
	switch {
	case len(names) > maxBatch:
		return auth.From(ctx), fault.New("InstanceLimitExceededException", "instanceNames has %d names: at most %d are allowed.", len(names), maxBatch)
	case len(tags) == 0:
		return auth.From(ctx), fault.New("TagRequiredException", "tags is empty.")
	case len(tags) > maxInstanceTags:
		return auth.From(ctx), tooManyTags()
	}
	return auth.From(ctx), checkTags("InvalidTagException", tags, maxInstanceTags)
}

func tooManyTags() error {
	return fault.New("TagLimitExceededException", "An on-premises instance has at most %d tags.", maxInstanceTags)
}

// AddTagsToOnPremisesInstances implements the API: all instances get the tags, or none does. Of a
// key one value is kept.
func (r *Room) AddTagsToOnPremisesInstances(ctx context.Context, in *api.AddTagsToOnPremisesInstancesInput) (*api.AddTagsToOnPremisesInstancesOutput, error) {
	c, err := namesOfInstances(ctx, "AddTagsToOnPremisesInstances", in.InstanceNames, in.Tags)
	if err != nil {
		return nil, err
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		return r.changeTags(ctx, tx, c, in.InstanceNames, func(i *api.InstanceInfo) error {
			for _, t := range in.Tags {
				i.Tags = append(slices.DeleteFunc(i.Tags, func(old api.Tag) bool { return old.Key == t.Key }), t)
			}
			if len(i.Tags) > maxInstanceTags {
				return tooManyTags()
			}
			return nil
		})
	})
}

// RemoveTagsFromOnPremisesInstances implements the API: a tag is removed if key and value are the
// same.
func (r *Room) RemoveTagsFromOnPremisesInstances(ctx context.Context, in *api.RemoveTagsFromOnPremisesInstancesInput) (*api.RemoveTagsFromOnPremisesInstancesOutput, error) {
	c, err := namesOfInstances(ctx, "RemoveTagsFromOnPremisesInstances", in.InstanceNames, in.Tags)
	if err != nil {
		return nil, err
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		return r.changeTags(ctx, tx, c, in.InstanceNames, func(i *api.InstanceInfo) error {
			i.Tags = slices.DeleteFunc(i.Tags, func(old api.Tag) bool { return slices.Contains(in.Tags, old) })
			return nil
		})
	})
}

// changeTags changes instances in the order of their names, so that two requests cannot wait for
// each other.
func (r *Room) changeTags(ctx context.Context, tx *store.Tx, c auth.Caller, names []string, change func(i *api.InstanceInfo) error) error {
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		err := r.changeInstance(ctx, tx, c, name, func(_ *store.CodeDeployInstance, i *api.InstanceInfo) error { return change(i) })
		if err != nil {
			return err
		}
	}
	return nil
}
