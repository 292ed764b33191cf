package codedeploy

import (
	"context"
	"errors"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// nameOfApplication checks the name that a request is about and authorises the operation on it.
func nameOfApplication(ctx context.Context, operation, name string) (auth.Caller, error) {
	if name == "" {
		return missing(ctx, operation, "ApplicationNameRequiredException", "applicationName is missing: name the application.")
	}
	c, err := check(ctx, operation, kindApplication, name)
	if err == nil {
		err = checkName("InvalidApplicationNameException", "applicationName", name)
	}
	return c, err
}

// missing refuses a request that names no resource: who may do it on everything is told so.
func missing(ctx context.Context, operation, class, message string) (auth.Caller, error) {
	c, err := everything(ctx, operation)
	if err == nil {
		err = fault.New(class, "%s", message)
	}
	return c, err
}

func noApplication(err error, name string) error {
	return orMissing(err, "ApplicationDoesNotExistException", "No application found for name: %s", name)
}

// application finds an application.
func application(ctx context.Context, tx *store.Tx, c auth.Caller, name string) (store.CodeDeployApplication, error) {
	a, err := tx.GetCodeDeployApplication(ctx, c.Account, c.Region, name)
	return a, noApplication(err, name)
}

// lockApplication finds an application that the transaction is about to change.
func lockApplication(ctx context.Context, tx *store.Tx, c auth.Caller, name string) (store.CodeDeployApplication, error) {
	a, err := tx.LockCodeDeployApplication(ctx, c.Account, c.Region, name)
	return a, noApplication(err, name)
}

func applicationInfo(a store.CodeDeployApplication) *api.ApplicationInfo {
	return &api.ApplicationInfo{ApplicationId: a.ID, ApplicationName: a.Name, CreateTime: &a.Created, LinkedToGitHub: new(false), ComputePlatform: serverPlatform}
}

// CreateApplication implements the API.
func (r *Room) CreateApplication(ctx context.Context, in *api.CreateApplicationInput) (*api.CreateApplicationOutput, error) {
	c, err := nameOfApplication(ctx, "CreateApplication", in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if p := in.ComputePlatform; p != "" && p != serverPlatform {
		return nil, fault.New("InvalidComputePlatformException", "computePlatform %s: this server deploys to the platform Server only, to on-premises instances.", p)
	}
	if err := checkTags("InvalidTagsToAddException", in.Tags, maxTags); err != nil {
		return nil, err
	}
	a := store.CodeDeployApplication{Account: c.Account, Region: c.Region, Name: in.ApplicationName, ID: newUUID()}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(ctx, c.Account); err != nil {
			return err
		}
		all, err := tx.ListCodeDeployApplications(ctx, c.Account, c.Region, store.Keyset{Limit: maxApplications})
		if err != nil {
			return err
		}
		if len(all) == maxApplications {
			return fault.New("ApplicationLimitExceededException", "An account has at most %d applications in a Region.", maxApplications)
		}
		free, err := tx.AddCodeDeployApplication(ctx, a)
		if err == nil && !free {
			err = fault.New("ApplicationAlreadyExistsException", "Application already exists: %s", a.Name)
		}
		if err != nil {
			return err
		}
		return putTags(ctx, tx, taggedApplication(a.ID), in.Tags)
	})
	return &api.CreateApplicationOutput{ApplicationId: a.ID}, err
}

// GetApplication implements the API.
func (r *Room) GetApplication(ctx context.Context, in *api.GetApplicationInput) (*api.GetApplicationOutput, error) {
	c, err := nameOfApplication(ctx, "GetApplication", in.ApplicationName)
	if err != nil {
		return nil, err
	}
	var a store.CodeDeployApplication
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		a, err = application(ctx, tx, c, in.ApplicationName)
		return err
	})
	return &api.GetApplicationOutput{Application: applicationInfo(a)}, err
}

// BatchGetApplications implements the API.
func (r *Room) BatchGetApplications(ctx context.Context, in *api.BatchGetApplicationsInput) (*api.BatchGetApplicationsOutput, error) {
	if err := tooMany(len(in.ApplicationNames)); err != nil {
		return nil, err
	}
	c := auth.From(ctx)
	for _, name := range in.ApplicationNames {
		if _, err := nameOfApplication(ctx, "BatchGetApplications", name); err != nil {
			return nil, err
		}
	}
	out := &api.BatchGetApplicationsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.ApplicationsInfo = []api.ApplicationInfo{}
		for _, name := range in.ApplicationNames {
			a, err := application(ctx, tx, c, name)
			if err != nil {
				return err
			}
			out.ApplicationsInfo = append(out.ApplicationsInfo, *applicationInfo(a))
		}
		return nil
	})
}

// ListApplications implements the API.
func (r *Room) ListApplications(ctx context.Context, in *api.ListApplicationsInput) (*api.ListApplicationsOutput, error) {
	c, err := everything(ctx, "ListApplications")
	if err != nil {
		return nil, err
	}
	key, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListApplicationsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.Applications, out.NextToken = []string{}, ""
		list, err := tx.ListCodeDeployApplications(ctx, c.Account, c.Region, store.Keyset{After: key.After, Limit: pageSize + 1})
		for i, a := range list {
			if i == pageSize {
				out.NextToken = pageToken(list[i-1].Name, key.Time)
				break
			}
			out.Applications = append(out.Applications, a.Name)
		}
		return err
	})
}

// UpdateApplication implements the API: it changes the name.
func (r *Room) UpdateApplication(ctx context.Context, in *api.UpdateApplicationInput) (*api.UpdateApplicationOutput, error) {
	c, err := nameOfApplication(ctx, "UpdateApplication", in.ApplicationName)
	if err != nil || in.NewApplicationName == "" || in.NewApplicationName == in.ApplicationName {
		return nil, err
	}
	if err := checkName("InvalidApplicationNameException", "newApplicationName", in.NewApplicationName); err != nil {
		return nil, err
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		a, err := lockApplication(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		_, err = tx.GetCodeDeployApplication(ctx, c.Account, c.Region, in.NewApplicationName)
		if !errors.Is(err, store.ErrNotFound) {
			if err == nil {
				err = fault.New("ApplicationAlreadyExistsException", "Application already exists: %s", in.NewApplicationName)
			}
			return err
		}
		return tx.RenameCodeDeployApplication(ctx, a, in.NewApplicationName)
	})
}

// DeleteApplication implements the API. An application that is not there is no error; deployments
// that are in progress are stopped.
func (r *Room) DeleteApplication(ctx context.Context, in *api.DeleteApplicationInput) (*api.DeleteApplicationOutput, error) {
	c, err := nameOfApplication(ctx, "DeleteApplication", in.ApplicationName)
	if err != nil {
		return nil, err
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		a, err := tx.LockCodeDeployApplication(ctx, c.Account, c.Region, in.ApplicationName)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		groups, err := tx.ListCodeDeployGroups(ctx, a.ID, store.Keyset{Limit: maxGroups})
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err := r.deleteGroup(ctx, tx, c, g); err != nil {
				return err
			}
		}
		if err := tx.DeleteTags(ctx, taggedApplication(a.ID)); err != nil {
			return err
		}
		return tx.DeleteCodeDeployApplication(ctx, a)
	})
}
