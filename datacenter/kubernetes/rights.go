package kubernetes

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// kubeletClients is the group of the API server's own certificate towards kubelets,
// and so towards the bridge.
const kubeletClients = "tombolo:kubelet-clients"

const leaseNamespace = "kube-node-lease"

// What the bridge may do: the same that charts/tombolo gives it (a test compares them).
var (
	clusterRules = []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "create", "update", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"nodes/status"}, Verbs: []string{"update"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"pods/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
	}
	leaseRules = []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "create", "update"}},
	}
	ownRules = []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets", "configmaps"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{BridgeUser}, Verbs: []string{"update"}},
	}
)

// GrantRights gives the bridge's user its rights, and the API server the right to the
// kubelet API that the bridge serves.
func (c *ControlPlane) GrantRights(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	user := rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: BridgeUser}
	apiserver := rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: kubeletClients}
	for _, grant := range []func() error{
		func() error { return clusterRole(ctx, client, BridgeUser, clusterRules) },
		func() error { return bindCluster(ctx, client, BridgeUser, BridgeUser, user) },
		func() error { return bindCluster(ctx, client, kubeletClients, "system:kubelet-api-admin", apiserver) },
		func() error { return role(ctx, client, leaseNamespace, leaseRules, user) },
		func() error { return role(ctx, client, metav1.NamespaceSystem, ownRules, user) },
	} {
		if err := grant(); err != nil {
			return fmt.Errorf("kubernetes: rights of the bridge: %w", err)
		}
	}
	return nil
}

func clusterRole(ctx context.Context, client kubernetes.Interface, name string, rules []rbacv1.PolicyRule) error {
	api := client.RbacV1().ClusterRoles()
	object := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	_, err := api.Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = api.Update(ctx, object, metav1.UpdateOptions{})
	}
	return err
}

func bindCluster(ctx context.Context, client kubernetes.Interface, name, roleName string, to rbacv1.Subject) error {
	_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{to},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: roleName},
	}, metav1.CreateOptions{})
	return already(err)
}

// role makes the bridge's role in a namespace and binds it.
func role(ctx context.Context, client kubernetes.Interface, namespace string, rules []rbacv1.PolicyRule, to rbacv1.Subject) error {
	api := client.RbacV1().Roles(namespace)
	object := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: BridgeUser, Namespace: namespace}, Rules: rules}
	_, err := api.Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = api.Update(ctx, object, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	_, err = client.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: BridgeUser, Namespace: namespace}, Subjects: []rbacv1.Subject{to},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: BridgeUser},
	}, metav1.CreateOptions{})
	return already(err)
}

func already(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
